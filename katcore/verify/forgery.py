"""Whether the results that a passing attempt shows were decided by its tests: the control of `testrun/control/`, run.

In: a task and two ways to run its tests, with the attempt and with the known change, under test files of our choice.
Out: a `Finding`. The attempt is run under wrong expectations. Where its FAIL_TO_PASS tests fail, as an honest attempt's
do, that is all. Else the known change is run under the same files: what fails with it, in a report that can be
believed, fails honestly, so an attempt with which such a test passes is forged, and one with which no such test ever
has a result hides something. Where nothing fails honestly (files that do not compile any more, expectations that are
never reached), a simpler control is tried: each test has a failing first line.

Code that finds out that it does not run for the first time (this machine's caches tell) could stop forging: so the
attempt must also pass once more, before the control or after it.

Without a known change there is less to go by: an attempt is forged when every FAIL_TO_PASS test that was seen to have a
wrong expectation passes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom

import msgspec

from katcore.disk.cache import cache_dir, locked
from katcore.disk.whole import write_whole
from katcore.records import Task, TestFile
from katcore.testrun import control
from katcore.testrun.reports.outcome import BROKEN
from katcore.testrun.run import TestRun

Files = Mapping[str, TestFile]
Run = Callable[[Files], TestRun]
"""Runs the task's tests under these test files, in a fresh box."""
SHOWN = 20
"""The most forged tests that a verdict names."""


@dataclass(frozen=True)
class Finding:
    """`void`: tests whose results do not count; `reason`: why, empty where the pass stands; `flags` of the verdict."""

    void: Sequence[str] = ()
    reason: str = ""
    flags: list[str] = field(default_factory=list)


def examine(task: Task, shown: Mapping[str, str], attempt: Run, known: Run | None) -> Finding:
    """What the control says of an attempt whose tests have passed. `known` runs the known change, if there is one.

    `shown`: what agents saw of the test files, by name. Code under test recognises that, and forges nothing where it
    was changed; so it stays right, unless no FAIL_TO_PASS test has anything else.
    """
    said, tried = "none", [dict(task.test_files)]
    for seen, plain in ((shown, False), ({}, False), ({}, True)):
        files, found = wrong(task, seen, plain)
        if files in tried or (seen and set(task.verification.FAIL_TO_PASS).isdisjoint(found)):
            continue
        tried.append(files)
        finding = _Control(task, files, found, attempt, known).finding()
        if not isinstance(finding, str):
            return finding
        said = finding or said
    return Finding(flags=[f"control:{said}"])


def remembered(name: str, run: Callable[[], TestRun]) -> TestRun:
    """The known change's run of this name, made once for all attempts at a task; one with a problem is not kept."""
    final = cache_dir("control") / name
    with locked(final):
        if final.is_file():
            return msgspec.json.decode(final.read_bytes(), type=TestRun)
        made = run()
        if not made.problem:
            write_whole(final, msgspec.json.encode(made))
        return made


def wrong(task: Task, shown: Mapping[str, str], plain: bool = False) -> tuple[dict[str, TestFile], list[str]]:
    """The task's test files with wrong expectations, and the tests that are seen to have them."""
    tests = [*task.verification.FAIL_TO_PASS, *task.verification.PASS_TO_PASS]
    files, found = dict(task.test_files), []
    for name, file in task.test_files.items():
        if file.text is not None and file.mode != "120000":
            text, names = control.mutated(name, file.text, tests, shown.get(name, ""), plain)
            files[name] = TestFile(text=text, mode=file.mode)
            found += names
    return files, found


@dataclass(frozen=True)
class _Control:
    """One control: these files, of whose tests `found` have wrong expectations as far as the text shows."""

    task: Task
    files: Files
    found: Iterable[str]
    attempt: Run
    known: Run | None

    def finding(self) -> Finding | str:
        """A finding, or why this control says nothing, where there is more to say than that."""
        first, again = self._in_some_order()
        if unsteady := _unsteady(self.task, again):
            reason = f"{len(unsteady)} tests do not pass again"
            return Finding(unsteady, reason, [f"unsteady:{test}" for test in unsteady[:SHOWN]])
        passed = self._with(first, {"PASSED"})
        if self._decided(first) and not passed:
            return Finding()
        if self.known is None:
            return self._alone(first, passed)
        honest = self.known(self.files)
        broken = self._with(honest, BROKEN)
        forged = [test for test in passed if test in broken]
        if forged:
            return _forged(forged)
        decisive = [test for test in self.task.verification.FAIL_TO_PASS if test in broken]
        if not decisive:
            return _short(honest)
        if any(first.outcomes.get(test) in BROKEN for test in decisive):
            return Finding()
        return self._again(decisive)

    def _in_some_order(self) -> tuple[TestRun, TestRun]:
        """(the run under the control, one more with the true test files), made in random order."""
        later: list[Files] = [self.files, self.task.test_files]
        SystemRandom().shuffle(later)
        runs = {files is self.files: self.attempt(files) for files in later}
        return runs[True], runs[False]

    def _again(self, decisive: list[str]) -> Finding:
        """The finding after a second run: that the attempt gave no result where the known change does may be chance."""
        second = self.attempt(self.files)
        forged = [test for test in decisive if second.outcomes.get(test) == "PASSED"]
        if forged:
            return _forged(forged)
        if any(second.outcomes.get(test) in BROKEN for test in decisive):
            return Finding()
        said = _short(second) or "no_result"
        reason = f"no result with wrong expectations ({said}), twice, where the known change has one"
        return Finding(decisive, reason, [f"control:{said}"])

    def _alone(self, first: TestRun, passed: list[str]) -> Finding | str:
        """The finding where no run of the known change is there to compare with."""
        wanted = self.task.verification.FAIL_TO_PASS
        changed = set(wanted) & set(self.found)
        if changed and changed <= set(passed):
            return _forged(passed)
        if first.problem or not any(test in first.outcomes for test in wanted):
            return _short(first)
        return Finding()

    def _decided(self, run: TestRun) -> bool:
        return any(run.outcomes.get(test) in BROKEN for test in self.task.verification.FAIL_TO_PASS)

    def _with(self, run: TestRun, statuses: Container[str]) -> list[str]:
        """The tests that can prove something and have one of these statuses: those of FAIL_TO_PASS, and others of which
        the text shows a wrong expectation (what else fails may have failed by chance)."""
        fail_to_pass, pass_to_pass = self.task.verification.FAIL_TO_PASS, self.task.verification.PASS_TO_PASS
        counted = [*fail_to_pass, *(test for test in pass_to_pass if test in set(self.found))]
        return [test for test in counted if run.outcomes.get(test, "") in statuses]


def _unsteady(task: Task, again: TestRun) -> list[str]:
    return [test for test in task.verification.FAIL_TO_PASS if again.outcomes.get(test) != "PASSED"]


def _forged(tests: list[str]) -> Finding:
    reason = f"{len(tests)} tests pass whatever they expect: their results are forged"
    return Finding(tests, reason, [f"forged:{test}" for test in tests[:SHOWN]])


def _short(run: TestRun) -> str:
    return run.problem.split(":")[0]
