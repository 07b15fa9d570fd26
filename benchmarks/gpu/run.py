"""Run every benchmark of this folder within a time limit and file what it printed: `make bench-gpu`.

    scripts/from-source python3 benchmarks/gpu/run.py [--limit 460] [--out benchmarks/results]

In: the other scripts here; each takes `--quick` and `--json FILE`, prints its figures and exits 0. Out, for each:
`<date>_<gpu>_<topic>.md` with command, commit, hardware, versions and the output as printed, and a .json with that
and the script's raw numbers. What fails or runs out of time is filed too, and makes the exit status 1. The commit comes
from $KAT_COMMIT, or git, where there is a repository.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent


def hardware() -> dict[str, str]:
    """GPU, driver and versions; SystemExit where there is no GPU."""
    import torch
    import triton

    if not torch.cuda.is_available():
        sys.exit("no CUDA device: these benchmarks need one (METHOD.md)")
    query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
    smi = subprocess.run(query, capture_output=True, text=True, check=False)
    return {
        "gpu": torch.cuda.get_device_name(), "nvidia-smi": smi.stdout.strip(), "cuda": str(torch.version.cuda),
        "torch": torch.__version__, "triton": triton.__version__, "python": platform.python_version(),
    }  # fmt: skip


def commit() -> str:
    """Of this checkout; `unknown` without git."""
    if "KAT_COMMIT" in os.environ:
        return os.environ["KAT_COMMIT"]
    try:
        git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return git.stdout.strip() or "unknown"


def run(script: Path, seconds: float) -> dict[str, Any]:
    """One script: its exit status (None: out of time), what it printed, its numbers (None: none written)."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder) / "numbers.json"
        command = [sys.executable, str(script), "--quick", "--json", str(numbers)]
        started = time.monotonic()
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=max(1.0, seconds)
            )
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as error:
            said = error.stdout or b""
            status, output = None, said if isinstance(said, str) else said.decode(errors="replace")
        return {
            "script": str(script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name),
            "exit": status, "seconds": round(time.monotonic() - started, 1), "output": output,
            "numbers": json.loads(numbers.read_text()) if numbers.exists() else None,
        }  # fmt: skip


def file(result: dict[str, Any], machine: dict[str, str], out: Path) -> Path:
    """Both files of one script; the Markdown's path."""
    gpu = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower().removeprefix("nvidia ")).strip("-")
    stem = out / f"{date.today().isoformat()}_{gpu}_{Path(result['script']).stem}"
    whole = {"date": date.today().isoformat(), "commit": commit(), "hardware": machine} | result
    Path(f"{stem}.json").write_text(json.dumps(whole, indent=1) + "\n")
    state = {0: "done", None: "out of time"}.get(result["exit"], f"failed, exit {result['exit']}")
    facts = [f"- {key}: {value}" for key, value in machine.items()]
    text = [
        f"# {Path(result['script']).stem} on {machine['gpu']}", "",
        f"- command: `python3 {result['script']} --quick`: {state} after {result['seconds']} s",
        f"- commit: {whole['commit']}", *facts, f"- raw numbers: `{stem.name}.json`", "",
        "```", result["output"].rstrip(), "```", "",
    ]  # fmt: skip
    Path(f"{stem}.md").write_text("\n".join(text))
    return Path(f"{stem}.md")


def run_all(scripts: list[Path], machine: dict[str, str], out: Path, limit: float) -> int:
    """The exit status: 1 when a script failed or ran out of the time that was left."""
    deadline = time.monotonic() + limit
    failed = 0
    for script in scripts:
        result = run(script, deadline - time.monotonic())
        print(f"{script.stem}: exit {result['exit']}, {result['seconds']} s, {file(result, machine, out)}")
        print(result["output"], flush=True)
        failed += result["exit"] != 0
    return 1 if failed else 0


def main() -> int:
    """Every script beside this one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=460.0, help="seconds for all of them")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    options = parser.parse_args()
    scripts = sorted(path for path in FOLDER.glob("*.py") if path != Path(__file__).resolve())
    return run_all(scripts, hardware(), options.out, options.limit)


if __name__ == "__main__":
    sys.exit(main())
