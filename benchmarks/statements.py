"""How well kat-build-env tells messages that tell a need from those that do not, on real histories.

    python -m benchmarks.statements [--json FILE] NAME=REPO...

Two measures. `labelled`: messages that were judged by reading them, before the rules saw them where the set is
called `unseen` (`benchmarks/data/statement_labels.tsv`: repository, commit, set, whether the message tells a need: yes,
no, or either); kept and turned away of each. `all`: of every change of a history's main line that touches sources and
tests, how many are turned away, and why: nothing is left without what tools add, the title says itself that nothing
changes, all that is left tells the implementation, or it says too little. No environment is built.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from katcore.build_env.instruction import problem_statement
from katcore.build_env.message import QUIET
from katcore.errors import Rejected
from katcore.records import Change

ROOT = Path(__file__).resolve().parent.parent
LABELS = ROOT / "benchmarks/data/statement_labels.tsv"


def changes(repo: Path, cache: Path) -> Iterator[Change]:
    """The changes of a history's main line that touch sources and tests."""
    command = [Path(sys.executable).parent / "kat-mine", "changes", repo, "--first-parent", "--with-tests", "--quiet"]
    done = subprocess.run(command, env={**os.environ, "KAT_CACHE": str(cache)}, stdout=subprocess.PIPE, check=True)
    for line in done.stdout.splitlines():
        change = msgspec.json.decode(line, type=Change)
        if change.patch:
            yield change


def judged(repo: Path, change: Change) -> str:
    """`kept`, or why the message is turned away."""

    def base(names: Collection[str]) -> set[str]:
        command = ["git", "-C", repo, "grep", "--quiet", "--word-regexp", "--fixed-strings"]
        files = ["--", "*.py", "*.pyi", "*.pyx"]
        found = (name for name in names if not subprocess.run([*command, name, change.base_commit, *files]).returncode)
        return set(found)

    try:
        problem_statement(change, base)
    except Rejected as turned_away:
        why = turned_away.evidence
        if why["kind"] in QUIET:
            return "says that nothing changes"
        if why["dropped"] and not why["left"]:
            return "tells the implementation"
        return "says too little" if why["left"] else "nothing left"
    return "kept"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repos", nargs="+", metavar="NAME=REPO")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/statements.json")
    given = parser.parse_args()
    labels = {(repo, commit): (group, label) for repo, commit, group, label in _labels()}
    every: dict[str, Counter[str]] = {}
    labelled: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as cache:
        for name, _, place in (repo.partition("=") for repo in given.repos):
            repo = Path(place).resolve()
            every[name] = Counter()
            for change in changes(repo, Path(cache)):
                why = judged(repo, change)
                every[name][why] += 1
                if found := labels.get((name, change.head_commit)):
                    group, label = found
                    kept = "kept" if why == "kept" else "turned away"
                    labelled.setdefault(group, Counter())[f"tells a need: {label}, {kept}"] += 1
            print(name, dict(every[name]), flush=True)
    result = {
        "benchmark": "statements",
        "kat": subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip(),
        "labelled": {group: dict(sorted(found.items())) for group, found in sorted(labelled.items())},
        "all": {name: dict(found.most_common()) for name, found in every.items()},
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["labelled"], indent=1))


def _labels() -> list[list[str]]:
    return [line.split("\t") for line in LABELS.read_text().splitlines()[1:]]


if __name__ == "__main__":
    main()
