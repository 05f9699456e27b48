#!/bin/sh
# Writes the crates that are linked into the operator, in CycloneDX. Without its own licence or any build: from Cargo.lock
# and the manifests of the crates.
# usage: sbom.sh CARGO-CYCLONEDX FILE
set -eu
tool="$1" file="$2"
# One file per member of the workspace, beside its manifest; the operator's is kept. The same commit, the same bytes.
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct 2> /dev/null || echo 0)"
export SOURCE_DATE_EPOCH
"$tool" cyclonedx --format json --spec-version 1.5 --no-build-deps --target x86_64-unknown-linux-gnu --override-filename sluice.cdx
mkdir -p "$(dirname "$file")"
mv sluice.cdx.json "$file.part"
find benches deploy tests -name sluice.cdx.json -delete
mv "$file.part" "$file"
