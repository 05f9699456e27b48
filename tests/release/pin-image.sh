#!/bin/sh
# Prints manifests with the operator's image replaced; fails unless it was named exactly once.
# usage: pin-image.sh MANIFESTS IMAGE@DIGEST
set -eu
manifests="$1" image="$2"
case "$image" in
*@sha256:*) ;;
*) echo "pin-image.sh: $image has no digest" >&2; exit 1 ;;
esac
pattern='^\( *\(- \)\{0,1\}image: \).*/sluice[:@][^ ]*$'
named="$(grep -c "$pattern" "$manifests" || true)"
[ "$named" = 1 ] || { echo "pin-image.sh: $manifests names the image $named times" >&2; exit 1; }
sed "s|$pattern|\1$image|" "$manifests"
