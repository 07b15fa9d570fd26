"""The demo's table, from the run's own files alone.

    python report.py OUT

Reads what the commands left in OUT: records, graded attempts, metrics, and the summary lines of their logs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from katcore.records import Trajectory
from katcore.streams import read_records
from katcore.verify.report import wilson

POLICIES = ("base", "sft", "rl", "expert-a", "expert-b", "student")
NOTES = {
    "base": "random weights",
    "sft": "supervised on verified attempts of the oracle, to a plateau",
    "rl": "reinforcement learning from sft",
    "expert-a": "reinforcement learning from sft, first task alone",
    "expert-b": "reinforcement learning from sft, second task alone",
    "student": "sft, distilled from both experts",
}


def graded(path: Path) -> list[Trajectory]:
    """The attempts of a file that have a verdict."""
    records = (line.record for line in read_records([path]))
    return [r for r in records if isinstance(r, Trajectory) and r.verdict is not None]


def rate(attempts: Iterable[Trajectory]) -> str:
    """Passed of unmasked attempts, with Wilson's 95 % interval."""
    verdicts = [a.verdict for a in attempts if a.verdict is not None and not a.verdict.masked]
    n, passed = len(verdicts), sum(v.passed for v in verdicts)
    low, high = wilson(passed, n)
    return f"{passed:>4} of {n:<4} {passed / max(n, 1):.3f}   {low:.3f} to {high:.3f}"


def lines(path: Path) -> int:
    """Records of a JSON-lines file."""
    return len(path.read_text("utf-8").splitlines()) if path.exists() else 0


def summaries(out: Path) -> Iterator[tuple[str, dict]]:
    """The last summary of every command's log."""
    for log in sorted(out.glob("*.log"), key=lambda path: path.stat().st_mtime):
        found = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]
        for event in reversed(found):
            if event["kind"] == "summary":
                yield log.stem, event
                break


def tokens(out: Path) -> Iterator[tuple[str, int, int]]:
    """Flat and unique tokens that each training computed, summed over its steps."""
    for folder in ("sft-fast", "sft", "rl", "expert-a", "expert-b", *(p.name for p in sorted(out.glob("student-?")))):
        path = out / folder / "metrics.jsonl"
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
        yield folder, sum(r.get("tokens_flat", 0) for r in rows), sum(r.get("tokens_unique", 0) for r in rows)


def plateaus(out: Path) -> Iterator[str]:
    """How each supervised run ended."""
    for name in ("sft-fast", "sft"):
        rows = [json.loads(line) for line in (out / name / "metrics.jsonl").read_text("utf-8").splitlines()]
        losses, stop = [row["loss"] for row in rows], rows[-1].get("stop", "end of data")
        window = min(24, len(losses) // 2)
        before, last = sum(losses[-2 * window : -window]) / window, sum(losses[-window:]) / window
        yield (
            f"  {name:<10} {len(rows)} steps at rate {rows[-1]['lr']:g}, ended by {stop}: "
            f"mean loss of the last {window} {last:.5f}, of the {window} before {before:.5f}"
        )


def main() -> None:
    out = Path(sys.argv[1])
    print("records")
    for name in ("changes", "tasks", "rejects"):
        print(f"  {name:<10} {lines(out / f'{name}.jsonl')}")
    print("\npass rate, fresh rollouts in real boxes, real tests (95 % intervals: Wilson)")
    for control in ("oracle", "nop"):
        print(f"  {control:<10} {rate(graded(out / f'{control}.graded.jsonl'))}   control")
    for policy in POLICIES:
        print(f"  {policy:<10} {rate(graded(out / f'eval-{policy}.jsonl'))}   {NOTES[policy]}")
    print("\nsupervised loss")
    print(*plateaus(out), sep="\n")
    print("\ntokens computed in training      flat     unique    POR")
    for name, flat, unique in tokens(out):
        print(f"  {name:<24} {flat:>12,} {unique:>10,}   {1 - unique / flat if flat else 0:.3f}")
    files = [
        *out.glob("*.graded.jsonl"),
        out / "demonstrations.jsonl",
        *out.glob("eval-*.jsonl"),
        *out.glob("*/iteration-*.jsonl.zst"),
    ]
    names = Counter(str(a.verdict.evidence.get("grading", "")) for f in files for a in graded(f) if a.verdict)
    empty = names.pop("", 0)
    print(f"\ngradings: {len(names)} run, {sum(names.values()) - len(names)} reused, {empty} with nothing to grade")
    print("\nseconds")
    total = 0.0
    for name, event in summaries(out):
        total += event["seconds"]
        print(f"  {name:<24} {event['seconds']:>8.1f}")
    print(f"  {'sum':<24} {total:>8.1f}")


if __name__ == "__main__":
    main()
