#!/usr/bin/env bash
# Measures Sluice with many Rollouts in a testbed of its own, and takes that down whatever happens.
# usage: scale.sh TESTBED NAME FOLDER-WITH-BINARIES SCALE-PROGRAM [ITS ARGUMENTS]
set -euo pipefail
testbed=$1 name=$2 binaries=$3 scale=$4
shift 4
cd "$(dirname "$0")/.."

trap '"$testbed" down --name "$name"' EXIT
tests/install.sh "$testbed" "$name" "$binaries"
"$testbed" kwok --name "$name" --nodes 10
"$testbed" exec --name "$name" -- "$scale" "$@"
