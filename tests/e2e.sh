#!/usr/bin/env bash
# Runs the end-to-end tests on testbeds of their own, and takes these down whatever happens.
# usage: e2e.sh TESTBED NAME FOLDER-WITH-BINARIES THREADS [FILTER]
# A run of all tests takes two testbeds: NAME, and NAME-alone for those that disturb everybody (tests/e2e/alone), whose
# lines begin with "alone | ". With a filter there is one.
# At the end the operator's calls in the audit logs are compared with its rights: none may have been denied, and after a
# run of all tests each right must have been used.
# With SLUICE_CHAOS=1 a fault proxy is between the operator and the API server, and the tests that bring their own are
# left out. SLUICE_SEED chooses its faults.
set -euo pipefail
testbed=$1 name=$2 binaries=$3 threads=$4 filter=${5:-}
cd "$(dirname "$0")/.."

chaos=${SLUICE_CHAOS:-0} slower=1 names=("$name")
if [ "$chaos" = 1 ]; then slower=${SLUICE_SLOWER:-4}; fi
if [ -z "$filter" ] && [ "$chaos" = 0 ]; then names+=("$name-alone"); fi

# The test of the upgrade begins with the operator of the commit before this one.
previous=
case $filter in
  '' | *upgrade* | *chaos* | *alone*) previous=$(tests/previous.sh "$CARGO_TARGET_DIR") ;;
esac

proxy=
end() {
  # It prints what came through it.
  [ -z "$proxy" ] || { kill "$proxy" && wait "$proxy" || true; }
  # This ends what runs in them. One that stays up keeps no other up, and is a failure.
  local left=0
  for one in "${names[@]}"; do "$testbed" down --name "$one" || left=$?; done
  [ "$left" = 0 ] || exit "$left"
}
trap end EXIT
for one in "${names[@]}"; do tests/install.sh "$testbed" "$one" "$binaries"; done
# The last is where tests run alone.
[ -z "$previous" ] || "$testbed" image --name "${names[-1]}" --load --tag sluice.test/sluice:previous --entrypoint /sluice "$previous/sluice"

if [ "$chaos" = 1 ]; then
  "$testbed" proxy --name "$name" --seed "${SLUICE_SEED:-1}" &
  proxy=$!
  # Only new connections pass it.
  kubectl() { "$testbed" exec --name "$name" -- kubectl -n sluice-system "$@"; }
  kubectl delete pod -l app.kubernetes.io/name=sluice > /dev/null
  kubectl rollout status deployment/sluice --timeout=90s
fi

# Everything is built: inside there is no way out to a registry.
# usage: run TESTBED-NAME THREADS [ARGUMENTS OF THE TESTS]
run() {
  local at=$1 threads=$2
  shift 2
  "$testbed" exec --name "$at" -- env SLUICE_REQUIRE_CLUSTER=1 SLUICE_ROLLBACKS="${SLUICE_ROLLBACKS:-1}" \
    SLUICE_TAKEOVERS="${SLUICE_TAKEOVERS:-1}" SLUICE_INTERVENTIONS="${SLUICE_INTERVENTIONS:-3}" \
    SLUICE_KILLS="${SLUICE_KILLS:-16}" SLUICE_SEED="${SLUICE_SEED:-1}" SLUICE_SLOWER="$slower" SLUICE_PREVIOUS="$previous" CARGO_NET_OFFLINE=true \
    cargo test --locked --test e2e -- --test-threads "$threads" --nocapture "$@"
}

if [ "${#names[@]}" = 2 ]; then
  run "$name-alone" 1 alone:: > >(sed -u 's/^/alone | /') 2>&1 &
  alone=$!
  failed=0
  run "$name" "$threads" --skip alone:: || failed=$?
  [ "$failed" = 0 ] || echo "e2e.sh: a test failed, see above; those that run alone go on"
  wait "$alone" || failed=$?
  [ "$failed" = 0 ] || exit "$failed"
elif [ "$chaos" = 1 ]; then
  run "$name" "$threads" --skip chaos:: $filter
else
  run "$name" "$threads" $filter
fi

logs=()
for one in "${names[@]}"; do
  parts=$("$testbed" audit-log --name "$one")
  readarray -t -O "${#logs[@]}" logs <<< "$parts"
done
all=()
[ "${#names[@]}" = 1 ] || all=(--every-right-used)
"$binaries/sluice" rights --audit "${logs[@]}" "${all[@]}"
