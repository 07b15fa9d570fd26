"""What benchmarks that compare two things in turns share: their command line, how it is said, where it ran."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def compared(samples: Mapping[str, Sequence[float]], a: str, b: str) -> dict[str, Any]:
    """Medians in seconds, and the ratio of `a` to `b` round by round."""
    ratios = sorted(one / other for one, other in zip(samples[a], samples[b]))
    return {
        **{f"{name}_p50_s": round(median(taken), 3) for name, taken in samples.items()},
        "ratio_p50": round(median(ratios), 3),
        "ratio_min_max": [round(ratios[0], 3), round(ratios[-1], 3)],
        "samples_s": samples,
    }


def main(name: str, about: str | None, tests: int, measure: Callable[[int, Path], dict[str, Any]]) -> None:
    """Measure with a cache of its own, write the result and show all of it but the samples."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, default=ROOT / f"benchmarks/results/{name}.json")
    given = parser.parse_args()
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as scratch:
        os.environ["KAT_CACHE"] = f"{scratch}/cache"
        load = os.getloadavg()[0]
        result = {
            "benchmark": name,
            "commit": commit.stdout.strip(),
            "python": platform.python_version(),
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "load_before": round(load, 2),
            "tests": tests,
            "rounds": given.rounds,
            **measure(given.rounds, Path(scratch)),
        }
    given.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "samples_s"}, indent=2))
