"""What becomes of changes drawn from real histories: kat-mine changes and kat-build-env, for real.

    python -m benchmarks.histories --seed 12 [--changes 30] [--json FILE] [--cache FOLDER] [NAME=]REPO...

The pool of a history are the commits of its main line, of the two years before its newest one, that touch sources and
tests. An equal share is drawn from each by the seed, and nothing drawn is ever swapped. Each change is built alone, one
after the other, with the command's own defaults. Written per change: commit, outcome (a task, or the stage and reason
that turned it away), runs of the whole suite, seconds. A run that was interrupted goes on where it was: what stands in
the JSON file is not built again. REPO: a local repository; NAME: how the result calls it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent
YEARS = 2

Row = dict[str, Any]


def mined(repo: Path, cache: Path) -> list[bytes]:
    """The lines of a history's pool, in the order of their commits' ids."""
    newest = int(subprocess.check_output(["git", "-C", repo, "log", "-1", "--format=%ct", "HEAD"]))
    since = (datetime.fromtimestamp(newest, UTC) - timedelta(days=365 * YEARS)).isoformat()
    command = [BIN / "kat-mine", "changes", repo, "--first-parent", "--with-tests", "--since", since, "--quiet"]
    lines = subprocess.run(command, env=_environ(cache), stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return sorted(
        (line for line in lines if json.loads(line)["patch"]), key=lambda line: json.loads(line)["head_commit"]
    )


def drawn(pools: Mapping[str, Sequence[bytes]], number: int, seed: int) -> list[tuple[str, bytes]]:
    """`number` changes, an equal share of each pool as far as it goes; the first ones have what is left over."""
    chance, left, out = random.Random(seed), number, list[tuple[str, bytes]]()
    for place, (name, pool) in enumerate(sorted(pools.items(), key=lambda item: (len(item[1]), item[0]))):
        share = min(len(pool), left // (len(pools) - place))
        out += [(name, line) for line in chance.sample(pool, share)]
        left -= share
    return out


def built(line: bytes, cache: Path) -> Row:
    """What kat-build-env makes of one change."""
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as name:
        folder = Path(name)
        (folder / "in.jsonl").write_bytes(line + b"\n")
        sides = {"--rejects": folder / "rejects", "--dead-letter": folder / "dead", "-o": folder / "tasks"}
        command = [BIN / "kat-build-env", folder / "in.jsonl", *(word for side in sides.items() for word in side), "-q"]
        began = time.perf_counter()
        done = subprocess.run(command, env=_environ(cache), check=False)
        seconds = round(time.perf_counter() - began, 1)
        if done.returncode not in (0, 3):
            raise SystemExit(f"kat-build-env ended with {done.returncode}")
        tasks, rejects, dead = (_records(folder / side) for side in ("tasks", "rejects", "dead"))
    if tasks:
        yields = tasks[0]["evidence"]["yields"]
        counts = {name: yields[name] for name in ("tests", "fail_to_pass", "pass_to_pass")}
        return {"outcome": "task", **counts, "runs": yields["runs_made"], "seconds": seconds}
    (why,) = rejects or dead
    reason = {"stage": why["stage"], "reason": why["reason"] if rejects else why["error"][:200]}
    made = why.get("evidence", {}).get("runs_made", {"suite": 0, "files": 0, "not_started": 0})
    return {"outcome": "turned away" if rejects else "dead letter", **reason, "runs": made, "seconds": seconds}


def _records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def _environ(cache: Path) -> dict[str, str]:
    return {**os.environ, "KAT_CACHE": str(cache)}


def summary(rows: Sequence[Row]) -> Row:
    """The yield, why changes were turned away, and what both cost."""
    tasks = [row for row in rows if row["outcome"] == "task"]
    others = [row for row in rows if row["outcome"] != "task"]
    by_repo = {name: [row["outcome"] for row in rows if row["repo"] == name] for name in {row["repo"] for row in rows}}
    return {
        "changes": len(rows),
        "tasks": len(tasks),
        "yield": round(len(tasks) / max(1, len(rows)), 3),
        "tasks_by_repo": {name: f"{found.count('task')} of {len(found)}" for name, found in sorted(by_repo.items())},
        "turned_away": dict(Counter(f"{row['stage']}: {row['reason']}" for row in others).most_common()),
        "most_suite_runs": {
            "turned_away": max((row["runs"]["suite"] for row in others), default=0),
            "task": max((row["runs"]["suite"] for row in tasks), default=0),
        },
        "median_seconds": {
            "turned_away": statistics.median([row["seconds"] for row in others] or [0]),
            "task": statistics.median([row["seconds"] for row in tasks] or [0]),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repos", nargs="+", metavar="[NAME=]REPO")
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/histories.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        cache = given.cache or Path(folder)
        named = [repo.rpartition("=") for repo in given.repos]
        pools = {name or Path(repo).name: mined(Path(repo).resolve(), cache) for name, _, repo in named}
        draw = drawn(pools, given.changes, given.seed)
        known = json.loads(given.json.read_text())["rows"] if given.json.exists() else []
        done = {row["commit"]: row for row in known}
        commits = [(name, json.loads(line)["head_commit"], line) for name, line in draw]
        head = {
            "benchmark": "histories", "seed": given.seed, "years": YEARS, "cpus": os.cpu_count(),
            "python": platform.python_version(), "pools": {name: len(pool) for name, pool in sorted(pools.items())},
            "drawn": [f"{name} {commit}" for name, commit, _ in commits],
        }  # fmt: skip
        rows: list[Row] = []
        for name, commit, line in commits:
            said = {"repo": name, "commit": commit, "kat": _commit(), "load": round(os.getloadavg()[0], 1)}
            rows.append(done.get(commit) or said | built(line, cache))
            if commit not in done:
                later = [done[other] for _, other, _ in commits[len(rows) :] if other in done]  # of an earlier run
                _write(given.json, head | {"unfinished": len(rows) + len(later) < len(draw)}, [*rows, *later])
            row = rows[-1]
            told = [row["outcome"], row.get("reason", ""), f"{row['runs']['suite']} runs", f"{row['seconds']} s"]
            print(f"{len(rows)}/{len(draw)}", name, commit[:10], *told, flush=True)
        _write(given.json, head | {"unfinished": False}, rows)
    print(json.dumps(summary(rows), indent=1))


def _write(path: Path, head: Row, rows: Sequence[Row]) -> None:
    path.write_text(json.dumps({**head, "summary": summary(rows), "rows": rows}, indent=1) + "\n")


def _commit() -> str:
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()


if __name__ == "__main__":
    main()
