#!/usr/bin/env bash
# Builds the operator of the commit before this one, for the test of the upgrade: prints the folder with its manifests,
# `deploy/` and `crds/`, and its binary, `sluice`.
# usage: previous.sh FOLDER-FOR-BUILDS
set -euo pipefail
builds=$1
cd "$(dirname "$0")/.."

commit=$(git rev-parse --verify --quiet 'HEAD^') || {
  echo "previous.sh: the commit before this one is not here; a shallow clone needs: git fetch --unshallow" >&2
  exit 1
}
folder=$builds/previous/source
if [ "$(cat "$folder/.commit" 2> /dev/null)" != "$commit" ]; then
  echo "building the operator of the commit before this one, ${commit:0:12}" >&2
  # Kept at one place, so that only what changed is compiled; files are as new as their unpacking, for cargo's sake.
  rm -rf "$folder"
  mkdir -p "$folder"
  git archive "$commit" | tar --extract --touch --directory "$folder"
  (cd "$folder" && CARGO_TARGET_DIR="$builds/previous" cargo build --locked --bin sluice >&2)
  cp "$builds/previous/debug/sluice" "$folder/sluice"
  echo "$commit" > "$folder/.commit"
fi
echo "$folder"
