#!/usr/bin/env python3
"""Breaks the operator on purpose, one small fault at a time, and reports which seeds of the simulator notice.

Works on a copy of the tree. Prints a table in Markdown; fails if a fault goes unnoticed.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build(tree, target):
    """Builds the simulator of a tree; what the compiler says is shown only if it fails."""
    command = ["cargo", "build", "--locked", "--quiet", "--profile", "sim", "--package", "sim"]
    # The simulator is built for each fault: what that saves is more than what the seeds cost.
    env = dict(os.environ, CARGO_TARGET_DIR=target, CARGO_PROFILE_SIM_OPT_LEVEL="1")
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mutants: the simulator does not build:\n{done.stderr}")
    return pathlib.Path(target) / "sim" / "sim"


def run(binary, seeds):
    """The seeds that fail, with the promise that each names first."""
    done = subprocess.run([binary, seeds, "--failures", "6"], capture_output=True, text=True)
    found = re.findall(r"^seed (\d+) fails: (.*)$", done.stderr, re.MULTILINE)
    return [(int(seed), re.split(r"[:;]", why)[0]) for seed, why in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", help="FROM..TO: the seeds that each fault is given to be noticed; six that fail are enough")
    parser.add_argument("target", help="a folder for what is built")
    parser.add_argument("--only", default="", help="a part of the name of the faults to make")
    arguments = parser.parse_args()
    mutants = json.loads((ROOT / "tests/sim/mutants.json").read_text())
    tree = pathlib.Path(tempfile.mkdtemp(prefix="sluice-mutants-"))
    missed = []
    try:
        shutil.copytree(ROOT, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target", ".git"))
        print("| Fault | Promise | Found by seeds | as |\n| --- | --- | --- | --- |", flush=True)
        for mutant in (mutant for mutant in mutants if arguments.only in mutant["name"]):
            file = tree / mutant["file"]
            whole = file.read_text()
            if whole.count(mutant["from"]) != 1:
                sys.exit(f"mutants: {mutant['name']}: the text is not there exactly once in {mutant['file']}")
            file.write_text(whole.replace(mutant["from"], mutant["to"]))
            found = run(build(tree, arguments.target), arguments.seeds)
            file.write_text(whole)
            numbers = ", ".join(str(seed) for seed, _ in found[:6]) or "**none**"
            whys = ", ".join(sorted({why for _, why in found}))
            print(f"| {mutant['name']} | {mutant['promise']} | {numbers} | {whys} |", flush=True)
            if not found:
                missed.append(mutant["name"])
    finally:
        shutil.rmtree(tree)
    if missed:
        sys.exit("mutants: not noticed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
