"""How long one grading takes, beside the same tests without a box in the same environment.

    python -m benchmarks.grade [--rounds 20] [--json FILE]

A project of 20 modules and 200 tests is made on the spot. `grade`: a fresh box, the patch, the task's test files, the
tests, the verdict; nothing is taken from the cache but the built environment and the checkout. `bare`: the same test
command with the same environment's interpreter in a folder of this machine where the patch is applied already. The two
take turns, so that a busy machine slows both; ratios are those of the rounds, each of its own pair.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.paired import compared, main
from benchmarks.small_task import environment_with_pytest, grade, patch, small_task
from katcore.environment.built import ensure_environment
from katcore.environment.workspace import patched
from katcore.records import Task
from katcore.sandbox import ENV, sandbox
from katcore.testrun.run import PLUGIN, PLUGIN_SOURCE

MODULES, EACH = 20, 10


def project() -> dict[str, str]:
    """The files at the base: module 0 is wrong."""
    files = {"pyproject.toml": '[project]\nname = "calm"\nversion = "1"\n', "calm/__init__.py": ""}
    for m in range(MODULES):
        files[f"calm/m{m}.py"] = f"def f(n):\n    return n + {0 if m == 0 else m + 1}\n"
        tests = [f"def test_{n}():\n    assert f({n}) == {n + m + 1}\n" for n in range(EACH)]
        files[f"tests/test_m{m}.py"] = f"from calm.m{m} import f\n\n" + "\n".join(tests)
    return files


def make_task(files: dict[str, str]) -> Task:
    every = [[f"tests/test_m{m}.py::test_{n}" for n in range(EACH)] for m in range(MODULES)]
    others = [test for tests in every[1:] for test in tests]
    return small_task(environment_with_pytest(), "bench", files, every[0], others)


def bare(task: Task, folder: Path, report: Path, python: Path) -> None:
    """The task's test command outside any box, with the paths of this machine."""
    (report / "plugin").mkdir(parents=True, exist_ok=True)
    (report / "plugin" / f"{PLUGIN}.py").write_text(PLUGIN_SOURCE)
    command = task.environment.test_command.replace(f"{ENV}/bin/python", str(python)).replace("/testbed", str(folder))
    shown = {"PATH": os.environ["PATH"], "KAT_REPORT": str(report), "PYTHONPATH": f"{report}/plugin:{folder}",
             "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}  # fmt: skip
    done = subprocess.run(["/bin/bash", "-c", command], cwd=folder, env=shown, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-500:]


def interpreter(env: Path, folder: Path) -> Path:
    """A virtual environment of this machine with the packages of a built one, whose own interpreter is a box's."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,), (ours,) = env.glob("lib/python*/site-packages"), folder.glob("lib/python*/site-packages")
    ours.rmdir()
    ours.symlink_to(packages)
    return folder / "bin/python"


def seconds(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(rounds: int, scratch: Path) -> dict[str, Any]:
    files = project()
    task, fix = make_task(files), patch({"calm/m0.py": "def f(n):\n    return n + 1\n"}, files)
    python = interpreter(ensure_environment(task.environment, sandbox()), scratch / "env")
    samples: dict[str, list[float]] = {"grade": [], "bare": []}

    def graded() -> None:
        verdict = grade(task, fix)
        assert verdict.reward == 1.0, verdict

    with patched(task.source, fix) as folder:
        for turn in range(rounds + 2):  # the first two warm caches up
            for name, action in (("grade", graded), ("bare", lambda: bare(task, folder, scratch / "report", python))):
                taken = seconds(action)
                if turn >= 2:
                    samples[name].append(round(taken, 4))
    return compared(samples, "grade", "bare")


if __name__ == "__main__":
    main("grade", __doc__, MODULES * EACH, measure)
