#!/usr/bin/env bash
# Runs the end-to-end tests in a testbed of their own, and takes it down whatever happens.
# usage: e2e.sh TESTBED NAME FOLDER-WITH-BINARIES THREADS [FILTER]
# At the end the operator's calls in the audit log are compared with its rights: none may have been denied, and after a
# run of all tests each right must have been used.
# With SLUICE_CHAOS=1 a fault proxy is between the operator and the API server, and the tests that bring their own are
# left out. SLUICE_SEED chooses its faults.
set -euo pipefail
testbed=$1 name=$2 binaries=$3 threads=$4 filter=${5:-}
cd "$(dirname "$0")/.."

# The test of the upgrade begins with the operator of the commit before this one.
previous=
case $filter in
  '' | *upgrade* | *chaos*) previous=$(tests/previous.sh "$CARGO_TARGET_DIR") ;;
esac

proxy=
end() {
  # It prints what came through it.
  [ -z "$proxy" ] || { kill "$proxy" && wait "$proxy" || true; }
  "$testbed" down --name "$name"
}
trap end EXIT
tests/install.sh "$testbed" "$name" "$binaries"
[ -z "$previous" ] || "$testbed" image --name "$name" --load --tag sluice.test/sluice:previous --entrypoint /sluice "$previous/sluice"

skip=() slower=1
if [ "${SLUICE_CHAOS:-0}" = 1 ]; then
  "$testbed" proxy --name "$name" --seed "${SLUICE_SEED:-1}" &
  proxy=$!
  # Only new connections pass it.
  kubectl() { "$testbed" exec --name "$name" -- kubectl -n sluice-system "$@"; }
  kubectl delete pod -l app.kubernetes.io/name=sluice > /dev/null
  kubectl rollout status deployment/sluice --timeout=90s
  skip=(--skip chaos::) slower=${SLUICE_SLOWER:-4}
fi

# Everything is built: inside there is no way out to a registry.
"$testbed" exec --name "$name" -- env SLUICE_REQUIRE_CLUSTER=1 SLUICE_ROLLBACKS="${SLUICE_ROLLBACKS:-1}" \
  SLUICE_TAKEOVERS="${SLUICE_TAKEOVERS:-1}" SLUICE_INTERVENTIONS="${SLUICE_INTERVENTIONS:-3}" \
  SLUICE_KILLS="${SLUICE_KILLS:-16}" SLUICE_SEED="${SLUICE_SEED:-1}" SLUICE_SLOWER="$slower" SLUICE_PREVIOUS="$previous" CARGO_NET_OFFLINE=true \
  cargo test --locked --test e2e -- --test-threads "$threads" --nocapture "${skip[@]}" $filter

all=()
[ -n "$filter" ] || [ "${#skip[@]}" -gt 0 ] || all=(--every-right-used)
parts=$("$testbed" audit-log --name "$name")
readarray -t log <<< "$parts"
"$binaries/sluice" rights --audit "${log[@]}" "${all[@]}"
