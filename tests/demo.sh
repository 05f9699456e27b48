#!/usr/bin/env bash
# Brings a testbed with Sluice up and runs the demo in it, one at a time. DEMO_KEEP=0 takes it down at the end.
# usage: demo.sh TESTBED NAME FOLDER-WITH-BINARIES
set -euo pipefail
testbed=$1 name=$2 binaries=$3
cd "$(dirname "$0")/.."

# Two would replace each other's shop. The lock goes with this script; what stays up must not hold it: 9>&-.
exec 9> "${TMPDIR:-/tmp}/sluice-demo-$name.lock"
flock --nonblock 9 || {
  echo "make: a demo runs on testbed $name already: wait for its end, or take another testbed: make demo NAME=demo2" >&2
  exit 1
}
tests/install.sh "$testbed" "$name" "$binaries" 9>&-
end() {
  if [ "${DEMO_KEEP:-1}" = 0 ]; then "$testbed" down --name "$name" 9>&-; fi
}
trap end EXIT
"$testbed" exec --name "$name" -- "$binaries/demo" 9>&-
