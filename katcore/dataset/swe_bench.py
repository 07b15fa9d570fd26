"""SWE-bench and what shares its fields: original, Verified, Lite, Multilingual, Multimodal, and the rows of 5.x.

In: a row, or a task. Out: the other. A row's image, log parser and test script go to the task's environment; what a
task has no place for (`hints_text`, `version`, `environment_setup_commit`, `image_assets`) is kept by `origin.py`.
FAIL_TO_PASS and PASS_TO_PASS are lists, or JSON text of lists as the older datasets have them.
"""

from __future__ import annotations

import base64
import os
import posixpath
import re
from collections.abc import Iterator

from katcore.dataset.files import content, from_test_file
from katcore.dataset.rows import text, texts, when
from katcore.environment.clock import CLOCK
from katcore.errors import RecordError
from katcore.records import Benchmark, Environment, Instruction, Json, Labels, Report, Task, TaskSource, Verification
from katcore.source import quoting

RECIPE = "swe-bench"
WORKDIR = "/testbed"
NEEDS = ("instance_id", "repo", "base_commit", "patch", "problem_statement")
DIFFICULTY = {"<15 min fix": 0.1, "15 min - 1 hour": 0.35, "1-4 hours": 0.65, ">4 hours": 0.9}
"""Verified's four answers to how long an engineer takes, as places on our scale from 0 to 1."""
REPOSITORIES = {
    "test": (
        "astropy/astropy", "django/django", "matplotlib/matplotlib", "mwaskom/seaborn", "pallets/flask", "psf/requests",
        "pydata/xarray", "pylint-dev/pylint", "pytest-dev/pytest", "scikit-learn/scikit-learn", "sphinx-doc/sphinx",
        "sympy/sympy",
    ),
    "dev": (
        "sqlfluff/sqlfluff", "marshmallow-code/marshmallow", "pvlib/pvlib-python", "pylint-dev/astroid",
        "pyvista/pyvista", "pydicom/pydicom",
    ),
}  # fmt: skip
"""SWE-bench's own, by split; its variants are drawn from them. Many other sets have its fields."""
START, END, CODE = ">>>>> Start Test Output", ">>>>> End Test Output", ">>>>> Test Exit Code"


def image_name(instance_id: str) -> str:
    """The name that the harness derives for an instance's image."""
    return f"swebench/sweb.eval.x86_64.{instance_id}:latest".lower().replace("__", "_1776_")


def github(repo: str) -> str:
    """The address that a repository's name stands for."""
    return f"https://github.com/{repo}.git"


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    name, repo, commit = text(row, "instance_id"), text(row, "repo"), text(row, "base_commit")
    image = text(row, "image", image_name(name))
    return Task(
        instance_id=name,
        repo=repo,
        base_commit=commit,
        created_at=when(row.get("created_at")),
        benchmark=_benchmark(row),
        labels=Labels(language=text(row, "language", "")),
        difficulty=_difficulty(row.get("difficulty")),
        problem_statement=text(row, "problem_statement"),
        instruction=Instruction(kind="human"),
        source=TaskSource(kind="image", url=image, ref=WORKDIR),
        environment=Environment(
            recipe=RECIPE,
            workdir=WORKDIR,
            image=image,
            test_command=text(row, "eval_script", ""),
            report=Report(kind="log", path=text(row, "log_parser", "")),
            platform="linux-x86_64",
        ),
        verification=Verification(FAIL_TO_PASS=texts(row, "FAIL_TO_PASS"), PASS_TO_PASS=texts(row, "PASS_TO_PASS")),
        patch=text(row, "patch"),
        test_patch=text(row, "test_patch", ""),
    )


def _difficulty(level: object) -> float | None:
    """A number, or one of Verified's answers; null for what others mean by the name."""
    if isinstance(level, str):
        return DIFFICULTY.get(level)
    return float(level) if isinstance(level, int | float) and not isinstance(level, bool) else None


def _benchmark(row: Json) -> Benchmark | None:
    """By the data set that a row of 5.x names, else by the repository; Verified alone tells how hard a task is."""
    sets, split = row.get("datasets"), text(row, "split", "") or None
    named = [name for name in sets if isinstance(name, str) and name != "kat"] if isinstance(sets, list) else []
    if len(named) == 1:
        return Benchmark(name=named[0].rpartition("/")[2].lower().replace("_", "-"), split=split)
    repo, numbered = text(row, "repo"), re.fullmatch(r".+-\d+", text(row, "instance_id"))
    for part, repositories in REPOSITORIES.items():
        if repo in repositories and numbered:
            level = row.get("difficulty")
            verified = isinstance(level, str) and level in DIFFICULTY
            return Benchmark(name="swe-bench-verified" if verified else "swe-bench", split=split or part)
    return Benchmark(name="swe-bench-multimodal", split=split) if row.get("image_assets") else None


def from_task(task: Task) -> Json:
    """A row with the fields of 5.x; our own tasks get a script for pytest. RecordError for one with a clock."""
    if CLOCK in task.environment.env:
        raise RecordError("export", "a task with a clock of its own cannot be exported: only KAT's boxes have it")
    row: Json = {
        "repo": task.repo,
        "instance_id": task.instance_id,
        "base_commit": task.base_commit,
        "patch": task.patch,
        "test_patch": task.test_patch,
        "problem_statement": task.problem_statement,
        "hints_text": "",
        "created_at": task.created_at,
        "version": "",
        "FAIL_TO_PASS": list(task.verification.FAIL_TO_PASS),
        "PASS_TO_PASS": list(task.verification.PASS_TO_PASS),
        "environment_setup_commit": task.base_commit,
        "image": task.environment.image or image_name(task.instance_id),
        "log_parser": task.environment.report.path,
        "eval_type": "pass_and_fail",
        "eval_script": task.environment.test_command,
    }
    if task.environment.report.kind != "log":
        row |= {"log_parser": "parse_log_pytest", "eval_script": eval_script(task)}
    if task.labels.language:
        row["language"] = task.labels.language
    if task.difficulty is not None:
        names = {value: name for name, value in DIFFICULTY.items()}
        row["difficulty"] = names.get(task.difficulty, task.difficulty)
    return row


def eval_script(task: Task) -> str:
    """What the harness runs in the image: our test command with pytest's summary between the markers."""
    place = task.environment
    command = place.test_command.replace("-p kat_nodeid ", "")  # our plugin is not in that image
    exports = [f"export {name}={_quoted(value)}" for name, value in sorted(place.env.items())]
    lines = [
        "#!/bin/bash", "set -uxo pipefail", f"cd {_quoted(place.workdir)}", *exports, "export KAT_REPORT=/tmp",
        "export PATH=/opt/env/bin:$PATH",
        *_tests(task), *place.setup, f": '{START}'", f"{command} -rA", "code=$?",
        f": '{END}'", f'echo "{CODE}: $code"',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _tests(task: Task) -> Iterator[str]:
    """Lines that put the task's own test files in their place, and take away those that it wants gone."""
    for written, file in sorted(task.test_files.items()):
        name = quoting.place(written)
        yield f"rm -rf {_quoted(name)}"
        if file.text is None and file.base64 is None:
            continue
        data = base64.b64encode(content(from_test_file(file))).decode()
        put = f'ln -s "$(echo {data} | base64 -d)"' if file.mode == "120000" else f"echo {data} | base64 -d >"
        yield f"mkdir -p {_quoted(posixpath.dirname(name) or '.')} && {put} {_quoted(name)}"
        if file.mode == "100755":
            yield f"chmod 755 {_quoted(name)}"
    if task.test_patch and not task.test_files:
        yield f"git apply -v - <<'EOF_TESTS'\n{task.test_patch.rstrip(chr(10))}\nEOF_TESTS"


def _quoted(value: str) -> str:
    """A word of bash; bytes that are no UTF-8 as escapes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "$" + "'" + "".join(f"\\{byte:03o}" for byte in os.fsencode(value)) + "'"
    return "'" + value.replace("'", "'\\''") + "'"
