"""HumanEval- and MBPP-style problems: complete a function; assertions in Python tell.

In: a row, or a task. Out: the other. The task's repository is one file, `solution.py`, which holds the prompt (or, for
MBPP, nothing but a comment); the patch completes it; the tests are the task's own test file, run by a small runner of
the standard library that writes JUnit, so that such a task needs no environment beside an interpreter.
"""

from __future__ import annotations

from collections.abc import Callable

from katcore.dataset import files
from katcore.dataset.inline import archive
from katcore.dataset.rows import EPOCH, text
from katcore.disk.in_box import program
from katcore.records import Benchmark, Environment, Instruction, Json, Labels, Task, TaskSource, TestFile, Verification
from katcore.sandbox import PYTHON
from katcore.source.diff import read_patch, write_diff

RECIPE = "functions"
MBPP_SPLITS = {"prompt": (1, 10), "test": (11, 510), "validation": (511, 600), "train": (601, 974)}
"""MBPP's splits by task id, first and last (Austin et al. 2021, arXiv 2108.07732)."""
SOLUTION, TESTS = "solution.py", "test_solution.py"
WHOLE = 1 << 20
"""Lines of context: one hunk over the whole file, so that the patch tells the whole solution."""


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    task = _mbpp(row) if "test_list" in row else _humaneval(row)
    task.benchmark = _benchmark(row)
    return task


def _benchmark(row: Json) -> Benchmark | None:
    """By the first part of the id, `HumanEval/0`; of MBPP, by its columns and by where its splits begin."""
    named, slash, _ = str(row["task_id"]).partition("/")
    if slash:
        return Benchmark(name=named.lower())
    if "test_list" not in row:
        return None
    version = "sanitized" if "test_imports" in row else "full" if "challenge_test_list" in row else None
    number = int(named) if named.isdigit() else 0
    split = next((split for split, (first, last) in MBPP_SPLITS.items() if first <= number <= last), None)
    return Benchmark(name="mbpp", version=version, split=split)


def _humaneval(row: Json) -> Task:
    prompt, entry = text(row, "prompt"), text(row, "entry_point")
    solved = prompt + text(row, "canonical_solution")
    tests = f"from solution import {entry}\n\n{text(row, 'test')}\n\n\ndef test_check():\n    check({entry})\n"
    return _task("humaneval", text(row, "task_id"), prompt, prompt, solved, tests, ["test_check"], entry)


def _mbpp(row: Json) -> Task:
    statement = text(row, "text", "") or text(row, "prompt")
    asserts = list(row["test_list"])
    setup = text(row, "test_setup_code", "") or "\n".join(row.get("test_imports") or [])
    head = f"from solution import *\n{setup}\n" if setup else "from solution import *\n"
    tests = head + "".join(
        f"\n\ndef test_{number}():\n" + "".join(f"    {line}\n" for line in one.split("\n"))
        for number, one in enumerate(asserts, 1)
    )
    names = [f"test_{number}" for number in range(1, len(asserts) + 1)]
    shown = statement + "\n\nYour code in solution.py should pass:\n" + "\n".join(asserts[:1])
    solved = text(row, "code")
    return _task("mbpp", str(row["task_id"]), shown, "# solution\n", solved if solved.endswith("\n") else solved + "\n",
                 tests, names, "")  # fmt: skip


def _task(kind: str, name: str, shown: str, stub: str, solved: str, tests: str, names: list[str], entry: str) -> Task:
    runner = program("katcore.dataset", "function_tests")
    return Task(
        instance_id=f"{kind}-{name.removeprefix('HumanEval/')}",
        repo="",
        base_commit="",
        created_at=EPOCH,
        domain="code",
        labels=Labels(language="Python", archetype="code generation"),
        problem_statement=shown,
        instruction=Instruction(kind="human", variant=kind),
        source=TaskSource(kind="inline", url=archive({SOLUTION: files.entry(stub.encode())})),
        environment=Environment(recipe=RECIPE, test_command=f"{PYTHON} -c {_quoted(runner)}"),
        verification=Verification(FAIL_TO_PASS=[f"{TESTS}::{one}" for one in names], answer=entry or None),
        patch=write_diff(SOLUTION, stub, solved, context=WHOLE),
        test_files={TESTS: TestFile(text=tests)},
    )


def from_task(task: Task) -> Json:
    """A row of the kind that the task came from."""
    make: Callable[[Task], Json] = _as_mbpp if task.instruction.variant == "mbpp" else _as_humaneval
    return make(task)


def _as_humaneval(task: Task) -> Json:
    tests = task.test_files[TESTS].text or ""
    entry = task.verification.answer or ""
    body = tests.removeprefix(f"from solution import {entry}\n\n")
    return {
        "task_id": "HumanEval/" + task.instance_id.removeprefix("humaneval-"),
        "prompt": task.problem_statement,
        "entry_point": entry,
        "canonical_solution": _solved(task).removeprefix(task.problem_statement),
        "test": body.removesuffix(f"\n\n\ndef test_check():\n    check({entry})\n"),
    }


def _as_mbpp(task: Task) -> Json:
    tests = (task.test_files[TESTS].text or "").split("\n\ndef test_")
    asserts = ["\n".join(line[4:] for line in part.removesuffix("\n").split("\n")[1:]) for part in tests[1:]]
    name = task.instance_id.removeprefix("mbpp-")
    return {
        "task_id": int(name) if name.isdigit() else name,
        "text": task.problem_statement.partition("\n\nYour code in solution.py should pass:\n")[0],
        "code": _solved(task),
        "test_list": asserts,
    }


def _solved(task: Task) -> str:
    """What the patch makes of the one file: everything in it that is not removed."""
    diffs = read_patch(task.patch.encode("utf-8", "surrogateescape"))
    return b"".join(hunk.after for diff in diffs for hunk in diff.hunks).decode("utf-8", "surrogateescape")


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
