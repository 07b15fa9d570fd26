"""`kat-mine changes` beside `git log -p` on the same range, in turn, as processes that write to /dev/null.

    python benchmarks/mine_changes.py [-n ROUNDS] [REPO...]   prints ratios, writes benchmarks/results/mine_changes.json

A synthetic history is always measured: 6,000 commits, 100 files of Python, a binary now and then, every tenth commit a
merge. Git is timed twice: plain, as people type it (which shows nothing for a merge), and with
`--diff-merges=first-parent`, which prints the very differences that the records hold. `wall` is elapsed time, `cpu`
that of all processes together. Ratio: the median over rounds of kat-mine's seconds over git's of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

COMMITS, FILES = 6000, 100


def synthetic(folder: Path) -> Path:
    """A history from a seed, as a bare repository."""
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", str(folder)], check=True)
    stream = b"".join(_history(random.Random(0)))
    subprocess.run(["git", f"--git-dir={folder}", "fast-import", "--quiet"], input=stream, check=True)
    subprocess.run(["git", f"--git-dir={folder}", "repack", "-adq"], check=True)
    return folder


def _history(chance: random.Random) -> Iterator[bytes]:
    words = [f"value_{n}" for n in range(400)]
    texts: dict[str, list[str]] = {}
    for number in range(1, COMMITS + 1):
        body = b"Change %d\n\nFixes #%d\n" % (number, number)
        yield b"commit refs/heads/main\nmark :%d\n" % number
        yield b"committer k <k> %d +0000\ndata %d\n%s" % (1700000000 + 60 * number, len(body), body)
        if number > 1:
            yield b"from :%d\n" % (number - 1)
        if number % 10 == 0:
            yield b"merge :%d\n" % (number - 3)
        for _ in range(chance.randint(1, 4)):
            file = chance.randrange(FILES)
            name = f"tests/test_{file}.py" if file % 4 == 0 else f"src/part_{file % 9}/module_{file}.py"
            lines = texts.setdefault(name, [])
            at = chance.randint(0, len(lines))
            lines[at : at + chance.randint(0, 6)] = [
                f"    {chance.choice(words)} = {chance.choice(words)}({chance.randrange(1000)})"
                for _ in range(chance.randint(1, 14))
            ]
            data = ("\n".join(lines) + "\n").encode()
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(data), data)
        if number % 50 == 0:
            data = chance.randbytes(5000)
            yield b"M 100644 inline assets/%d.bin\ndata %d\n%s\n" % (number % 7, len(data), data)


def timed(argv: list[str]) -> dict[str, float]:
    """Seconds of one process and its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def measure(repo: Path, rounds: int) -> dict[str, object]:
    """All contestants on one repository, a round after the other; the first round warms up."""
    git = ["git", "-C", str(repo), "log", "-p", "HEAD"]
    contestants = {
        "git log -p": git,
        "git log -p --diff-merges=first-parent": [*git[:-1], "--diff-merges=first-parent", "HEAD"],
        "kat-mine changes": [str(Path(sys.executable).parent / "kat-mine"), "changes", str(repo)],
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, argv in contestants.items():
            run = timed(argv)
            if turn:
                runs[name].append({key: round(value, 3) for key, value in run.items()})
    *gits, ours = runs
    ratios = {
        name: {
            key: round(statistics.median(a[key] / b[key] for a, b in zip(runs[ours], runs[name])), 2)
            for key in ("wall", "cpu")
        }
        for name in gits
    }
    count = ["git", "-C", str(repo), "rev-list", "--count", "HEAD"]
    return {
        "commits": int(subprocess.check_output(count)),
        "merges": int(subprocess.check_output([*count[:-1], "--merges", "HEAD"])),
        "ratio": ratios,
        "seconds": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repos", nargs="*", type=Path)
    parser.add_argument("-n", type=int, default=5)
    args = parser.parse_args()
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KAT_CACHE"] = str(Path(folder) / "cache")
        for repo in [synthetic(Path(folder) / "synthetic"), *args.repos]:
            name = repo.resolve().name.removesuffix(".git")
            result[name] = found = measure(repo, args.n)
            print(name, found["commits"], "commits:", json.dumps(found["ratio"]))
    result |= {
        "load": [round(one, 2) for one in os.getloadavg()],
        "cores": os.cpu_count(),
        "git": subprocess.check_output(["git", "--version"], text=True).split()[2],
        "python": platform.python_version(),
    }
    path = Path(__file__).parent / "results" / "mine_changes.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
