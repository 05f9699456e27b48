#!/usr/bin/env python3
"""Writes the crates that are linked into the operator, in CycloneDX, from Cargo.lock and the manifests of the crates:
nothing is built.

cargo-cyclonedx takes licences and checksums together but counts in what only tests turn on and what only runs in the
compiler; `cargo tree` knows what is linked. Every crate of the second must be in the first.

usage: sbom.py CARGO-CYCLONEDX FILE
"""

import json
import os
import pathlib
import subprocess
import sys

TARGET = "x86_64-unknown-linux-gnu"
tool, file = sys.argv[1], pathlib.Path(sys.argv[2])


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


# The same commit, the same bytes.
when = subprocess.run(["git", "log", "-1", "--format=%ct"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
os.environ["SOURCE_DATE_EPOCH"] = when.stdout.strip() or "0"
# One file per member of the workspace, beside its manifest; the operator's is kept.
output(tool, "cyclonedx", "--format", "json", "--spec-version", "1.5", "--no-build-deps", "--target", TARGET,
       "--override-filename", "sluice.cdx")
written = pathlib.Path("sluice.cdx.json")
text = written.read_text().replace(f"file://{os.getcwd()}", "file:///sluice")
written.unlink()
for folder in ("benches", "deploy", "tests"):
    for other in pathlib.Path(folder).rglob("sluice.cdx.json"):
        other.unlink()

tree = output("cargo", "tree", "--locked", "--package", "sluice", "--edges", "normal,no-proc-macro", "--target", TARGET,
              "--prefix", "none", "--no-dedupe")
linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()} - {("sluice", "")}
linked = {(name, version.removeprefix("v")) for name, version in linked}
bom = json.loads(text)
root = bom["metadata"]["component"]
linked.discard((root["name"], root["version"]))
bom["components"] = [one for one in bom["components"] if (one["name"], one["version"]) in linked]
missing = linked - {(one["name"], one["version"]) for one in bom["components"]}
if missing:
    sys.exit(f"sbom.py: linked, but not in the list: {sorted(missing)}")
unlicensed = [one["name"] for one in bom["components"] if not one.get("licenses") or not one.get("hashes")]
if unlicensed:
    sys.exit(f"sbom.py: without licence or checksum: {unlicensed}")
kept = {one["bom-ref"] for one in bom["components"]} | {root["bom-ref"]}
bom["dependencies"] = [
    {**one, "dependsOn": [ref for ref in one.get("dependsOn", []) if ref in kept]}
    for one in bom["dependencies"] if one["ref"] in kept
]
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(json.dumps(bom, indent=2) + "\n")
print(f"{file}: {len(bom['components'])} crates are linked into {root['name']} {root['version']}")
