"""How long `--help` takes beside `python -c 'import typer'`, as whole processes in turn, in one run.

    python benchmarks/help_time.py [-n ROUNDS]      prints a table, writes benchmarks/results/help_time.json

The ratio is the median over rounds of (command / import), the two measured right after each other. It leaves out the
first start after an installation, when byte code is compiled, so every start may keep its byte code.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ["kat-mine", "kat-build-env", "kat-rollout", "kat-verify", "kat-pack-trie", "kat-train", "kat-distill"]
BASE = [sys.executable, "-c", "import typer"]


ENV = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=ENV)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=15)
    rounds = parser.parse_args().n
    rows = {}
    for name in COMMANDS:
        command = [str(Path(sys.executable).with_name(name)), "--help"]
        seconds(command)
        pairs = [(seconds(command), seconds(BASE)) for _ in range(rounds)]
        ratio = statistics.median(a / b for a, b in pairs)
        rows[name] = {
            "ratio": round(ratio, 3),
            "help_ms": round(1000 * statistics.median(a for a, _ in pairs), 1),
            "import_typer_ms": round(1000 * statistics.median(b for _, b in pairs), 1),
        }
        print(f"{name:<14} {rows[name]['help_ms']:>7} ms   {ratio:.2f} x import typer")
    result = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": rounds, "commands": rows}
    out = Path(__file__).parent / "results" / "help_time.json"
    out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
