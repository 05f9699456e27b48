#!/usr/bin/env bash
# Brings a testbed up and installs Sluice in it: images, manifests, the provider of the examples, the alert rules.
# usage: install.sh TESTBED NAME FOLDER-WITH-BINARIES
set -euo pipefail
testbed=$1 name=$2 binaries=$3
cd "$(dirname "$0")/.."

image=$(sed -n 's/^ *image: //p' deploy/base/operator.yaml)
# What the operator trusts when a MetricsProvider is asked over https.
certificates=/etc/ssl/certs/ca-certificates.crt
add=()
[ ! -f "$certificates" ] || add=(--add "$certificates")

"$testbed" up --name "$name"
"$testbed" image --name "$name" --load --tag "$image" --entrypoint /sluice "${add[@]}" "$binaries/sluice"
"$testbed" image --name "$name" --load --tag sluice.test/shop:dev --entrypoint /shop "$binaries/shop"
kubectl() { "$testbed" exec --name "$name" -- kubectl "$@"; }
kubectl apply -f deploy/install.yaml > /dev/null
kubectl apply -f examples/shop/provider.yaml > /dev/null
# The same tag may name another image than last time.
kubectl -n sluice-system delete pod -l app.kubernetes.io/name=sluice --ignore-not-found > /dev/null
kubectl -n sluice-system rollout status deployment/sluice --timeout=90s || {
  {
    echo "install.sh: the operator did not become ready; its pods, and what was said of them:"
    kubectl -n sluice-system get pods -o wide
    kubectl -n sluice-system events --types=Warning | tail -5
    kubectl -n sluice-system logs -l app.kubernetes.io/name=sluice --tail=5 --prefix
    echo "look further with: $testbed exec --name $name -- bash; take it down with: $testbed down --name $name"
  } >&2
  exit 1
}
"$testbed" rules --name "$name" deploy/monitoring/alerts.yaml
