"""How long it takes to make tasks of a real package's releases: with an empty cache, and with a full one.

    python benchmarks/build_env.py [--package cachetools --from 5.3.3 --to 5.5.2] [--json FILE]

Runs the commands themselves, one worker. `cold`: $KAT_CACHE holds the releases and nothing else, so environments are
resolved, downloaded, installed and compiled; `warm`: it holds environments and workspaces, so what is left is asking
the index and running the tests (3 runs before and 3 after each change, each in a fresh sandbox).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent


def build(changes: Path, cache: Path) -> dict[str, Any]:
    """One whole run of kat-build-env: wall seconds and what came out."""
    started = time.perf_counter()
    done = subprocess.run(
        [BIN / "kat-build-env", changes], env={**os.environ, "KAT_CACHE": str(cache)}, capture_output=True, check=True
    )
    seconds = time.perf_counter() - started
    tasks = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        "seconds": round(seconds, 2),
        "tasks": [
            {
                "instance_id": task["instance_id"],
                "fail_to_pass": len(task["verification"]["FAIL_TO_PASS"]),
                "pass_to_pass": len(task["verification"]["PASS_TO_PASS"]),
                "runs": len(task["evidence"]["runs"]),
            }
            for task in tasks
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="cachetools")
    parser.add_argument("--from", dest="first", default="5.3.3")
    parser.add_argument("--to", dest="last", default="5.5.2")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/build_env.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        cache, changes = Path(folder) / "cache", Path(folder) / "changes.jsonl"
        command = [
            BIN / "kat-mine",
            "releases",
            given.package,
            "--from",
            given.first,
            "--to",
            given.last,
            "-o",
            changes,
        ]
        subprocess.run(command, env={**os.environ, "KAT_CACHE": str(cache)}, check=True)
        for kind in ("env", "work"):
            shutil.rmtree(cache / kind, ignore_errors=True)
        cold, warm = build(changes, cache), build(changes, cache)
        mined = len(changes.read_bytes().splitlines())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    result = {
        "benchmark": "build_env",
        "commit": commit.strip(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "package": f"{given.package} {given.first}..{given.last}",
        "changes": mined,
        "cold": cold,
        "warm": warm,
        "seconds_per_task": {
            "cold": round(cold["seconds"] / max(1, len(cold["tasks"])), 2),
            "warm": round(warm["seconds"] / max(1, len(warm["tasks"])), 2),
        },
    }
    given.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["seconds_per_task"]))


if __name__ == "__main__":
    main()
