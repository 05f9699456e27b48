#!/usr/bin/env bash
# Runs the end-to-end tests in a testbed of their own, and takes it down whatever happens.
# usage: e2e.sh TESTBED NAME FOLDER-WITH-BINARIES THREADS [FILTER]
set -euo pipefail
testbed=$1 name=$2 binaries=$3 threads=$4 filter=${5:-}
cd "$(dirname "$0")/.."

trap '"$testbed" down --name "$name"' EXIT
tests/install.sh "$testbed" "$name" "$binaries"
# Everything is built: inside there is no way out to a registry.
"$testbed" exec --name "$name" -- env SLUICE_REQUIRE_CLUSTER=1 SLUICE_ROLLBACKS="${SLUICE_ROLLBACKS:-1}" \
  SLUICE_TAKEOVERS="${SLUICE_TAKEOVERS:-1}" SLUICE_INTERVENTIONS="${SLUICE_INTERVENTIONS:-3}" CARGO_NET_OFFLINE=true \
  cargo test --locked --test e2e -- --test-threads "$threads" --nocapture $filter
