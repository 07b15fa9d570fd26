"""What the control concludes from the runs that it sees."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import pytest

from katcore.records import Environment, Report, Task, TaskSource, TestFile, Verification
from katcore.testrun.reports.outcome import Status
from katcore.testrun.run import TestRun
from katcore.verify.forgery import Files, Finding, Run, examine, remembered, wrong

JS = "test('a', () => { expect(a()).toBe(1); });\ntest('b', () => { expect(b()).toBe(2); });\n"
A, B = "t.test.js::a", "t.test.js::b"
FORGED = "tests pass whatever they expect: their results are forged"


def task_with(text: str = JS) -> Task:
    return Task(
        instance_id="t", repo="t", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline", url="data:,"), environment=Environment(report=Report(kind="jest")),
        verification=Verification(FAIL_TO_PASS=[A], PASS_TO_PASS=[B]), test_files={"t.test.js": TestFile(text=text)},
    )  # fmt: skip


def ran(a: Status | None = None, b: Status | None = None, problem: str = "") -> TestRun:
    return TestRun({test: status for test, status in ((A, a), (B, b)) if status}, problem=problem)


RED, GREEN, NOTHING = ran("FAILED", "ERROR"), ran("PASSED", "PASSED"), ran()
BROKEN, LATE = ran(problem="inconsistent: so"), ran(problem="timeout")


class Runs:
    """Gives these runs one after the other, `as_it_was` under the task's own files, and remembers what each one saw."""

    def __init__(self, runs: Iterable[TestRun], as_it_was: TestRun = GREEN) -> None:
        self.left, self.seen, self.as_it_was = list(runs), list[Files](), as_it_was

    def __call__(self, files: Files) -> TestRun:
        if files == task_with().test_files:
            return self.as_it_was
        self.seen.append(files)
        return self.left.pop(0)


def found(attempt: list[TestRun], known: list[TestRun] | None = None) -> Finding:
    """The finding; each of the runs was wanted."""
    runs, others = Runs(attempt), None if known is None else Runs(known)
    task = task_with()
    finding = examine(task, {}, runs, others)
    assert not runs.left and (others is None or not others.left)
    assert all(files != task.test_files for files in runs.seen)
    return finding


@pytest.mark.parametrize("again", [RED, NOTHING, LATE])
def test_what_passes_once_only_does_not_pass(again: TestRun) -> None:
    finding = examine(task_with(), {}, Runs([RED], again), None)
    assert (list(finding.void), finding.reason) == ([A], "1 tests do not pass again")
    assert finding.flags == [f"unsteady:{A}"]


def test_an_honest_attempt_needs_no_other_run() -> None:
    assert found([RED], []) == Finding()
    assert found([RED]) == Finding()
    assert found([ran("FAILED")], []) == Finding(), "a PASS_TO_PASS test that is missing says nothing"


@pytest.mark.parametrize(
    ("attempt", "known", "forged"),
    [
        (GREEN, RED, [A, B]),
        (GREEN, ran("FAILED", "PASSED"), [A]),
        (ran("FAILED", "PASSED"), RED, [B]),
        (ran("PASSED", "FAILED"), RED, [A]),
    ],
)
def test_what_passes_where_the_known_change_fails_is_forged(
    attempt: TestRun, known: TestRun, forged: list[str]
) -> None:
    reason = f"{len(forged)} {FORGED}"
    assert found([attempt], [known]) == Finding(forged, reason, [f"forged:{test}" for test in forged])


def test_an_expectation_that_is_never_reached_says_nothing() -> None:
    assert found([ran("FAILED", "PASSED")], [ran("FAILED", "PASSED")]) == Finding()


def test_files_that_do_not_compile_are_followed_by_simpler_ones() -> None:
    assert found([NOTHING, RED], [NOTHING]) == Finding()
    assert found([BROKEN, GREEN], [BROKEN, RED]).reason == f"2 {FORGED}"
    assert found([GREEN, GREEN], [NOTHING, RED]).reason == f"2 {FORGED}"
    assert found([NOTHING, NOTHING], [NOTHING, NOTHING]) == Finding(flags=["control:none"])
    assert found([BROKEN, BROKEN], [LATE, LATE]) == Finding(flags=["control:timeout"])
    assert found([NOTHING, GREEN]).reason == f"2 {FORGED}", "without a known change"


@pytest.mark.parametrize(("run", "said"), [(NOTHING, "no_result"), (BROKEN, "inconsistent"), (LATE, "timeout")])
def test_no_result_twice_where_the_known_change_has_one_is_no_pass(run: TestRun, said: str) -> None:
    reason = f"no result with wrong expectations ({said}), twice, where the known change has one"
    assert found([run, run], [RED]) == Finding([A], reason, [f"control:{said}"])
    assert found([run, RED], [RED]) == Finding(), "once may be chance"
    assert found([run, GREEN], [RED]).reason == f"1 {FORGED}"


def test_without_a_known_change_only_all_of_fail_to_pass_are_proof() -> None:
    assert found([GREEN]) == Finding([A, B], f"2 {FORGED}", [f"forged:{A}", f"forged:{B}"])
    assert found([ran("FAILED", "PASSED")]) == Finding()
    assert found([LATE, LATE]) == Finding(flags=["control:timeout"])


@pytest.mark.parametrize("text", ["", "test('a', f);\n"])
def test_files_without_expectations_have_no_control(text: str) -> None:
    runs: Run = Runs([])
    assert examine(task_with(text), {}, runs, runs) == Finding(flags=["control:none"])


def test_wrong_files_are_the_tasks_own_but_for_expectations() -> None:
    task = task_with()
    task.test_files |= {"link": TestFile(text="t.test.js", mode="120000"), "data.bin": TestFile(base64="AA==")}
    files, seen = wrong(task, {})
    assert files | {"t.test.js": task.test_files["t.test.js"]} == task.test_files
    assert files["t.test.js"].text == JS.replace("(2)", "(3)").replace("(1)", "(2)") and seen == [A, B]


def test_the_known_changes_run_is_made_once(cache: Path) -> None:
    made, name = [BROKEN, RED, GREEN], secrets.token_hex(8)
    assert remembered(name, lambda: made.pop(0)) == BROKEN, "a run with a problem is not kept"
    assert [remembered(name, lambda: made.pop(0)) for _ in range(2)] == [RED, RED]
    assert made == [GREEN]
