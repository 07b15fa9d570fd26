"""Grade a patch by its task's tests: a fresh box, the patch only, the task's own test files, no network.

What passes is run twice more, in an order that nobody knows: as it was, and with wrong expectations (`forgery.py`),
with which results that code under test forges in its own process pass too. In: a task and a patch. Out: a verdict.
Task, patch and kind of sandbox decide it, so a finished grading is kept in the cache and used again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import msgspec

from katcore.disk.cache import cache_dir, digest_of, locked
from katcore.disk.whole import write_whole
from katcore.environment.built import box_spec
from katcore.environment.patch import BadPatch, apply_in_box
from katcore.environment.workspace import workspace
from katcore.errors import RecordError, SandboxError
from katcore.records import Task, TestFile, Verdict
from katcore.sandbox import Sandbox, name_of, sandbox
from katcore.sandbox.warm import warm
from katcore.source.quoting import place
from katcore.testrun.grade import Grade, judge
from katcore.testrun.guard import Guard, GuardedPatch, source_folders
from katcore.testrun.reports import logs
from katcore.testrun.run import TestRun, prepare, run_tests
from katcore.testrun.test_files import read_test_file, with_test_files
from katcore.verify.forgery import Finding, examine, remembered
from katcore.verify.options import TestOptions

VERSION = "verdict/4"
"""A part of every cached verdict's name; it changes when grading changes, so that old verdicts are not found."""
INFRASTRUCTURE = frozenset({"sandbox", "engine", "gateway"})
"""Kinds of exit that are the infrastructure's failure and say nothing about the attempt."""


@dataclass(frozen=True)
class Grader:
    """Grades patches in fresh boxes, or takes the verdict of an identical grading from the cache."""

    options: TestOptions = TestOptions()

    def __post_init__(self) -> None:
        """Raise UsageError for a sandbox that is not there, even if no attempt will need a box."""
        _ = self.sandbox

    @property
    def sandbox(self) -> str:
        """The sandbox's whole name."""
        return name_of(self.options.boxes)

    def grade(self, task: Task, patch: str) -> Verdict:
        """The verdict on a patch; masked when the box, and not the patch, is at fault."""
        if not patch.strip():
            return Verdict(reason="no change", evidence={"grading": ""})
        boxes = _sandbox(self.sandbox)  # a machine that can run no box at all ends the stage
        try:
            return self._cached(task, patch, boxes)
        except SandboxError as error:
            return masked(f"sandbox: {error}")
        except RecordError as error:
            return masked(str(error))

    def _cached(self, task: Task, patch: str, boxes: Sandbox) -> Verdict:
        task = with_test_files(task)
        guard = _guard(task)
        kept = guard.keep(patch)
        tests = sorted(task.test_files.items())
        what = (task.source, task.patch, task.environment, task.verification, tests, self.options.timeout)
        name = digest_of(VERSION, boxes.name, msgspec.json.encode(what), kept.patch, *kept.dropped)
        final = cache_dir("verdict") / name
        with locked(final):
            if self.options.reuse and final.is_file():
                return msgspec.json.decode(final.read_bytes(), type=Verdict)
            verdict = self._grade(task, guard, kept, boxes)
            verdict.evidence["grading"] = name
            write_whole(final, msgspec.json.encode(verdict))
        return verdict

    def _grade(self, task: Task, guard: Guard, kept: GuardedPatch, boxes: Sandbox) -> Verdict:
        flags = [f"dropped:{name}" for name in kept.dropped]
        if not kept.patch.strip():
            return Verdict(reason="the patch changes nothing but tests and their configuration", flags=flags)
        try:
            rung, run = self._run(task, guard, kept.patch, boxes, task.test_files)
            run = _counted(task, run, partial(self._known, task, guard, boxes, task.test_files))
            grade = judge(run.outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS)
            finding = self._forged(task, guard, kept.patch, boxes) if grade.passed else Finding()
        except BadPatch as error:
            return Verdict(reason=f"the patch does not apply: {error}", flags=flags)
        except _Stray as error:
            return Verdict(reason=f"the patch changes {str(error)!r}, which its headers do not name", flags=flags)
        except RecordError as error:
            if error.stage != "setup":
                raise
            return Verdict(reason=str(error), flags=flags)
        if rung == "patch":
            flags.append("applied_with_fuzz")
        outcomes = {test: status for test, status in run.outcomes.items() if test not in finding.void}
        grade = judge(outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS)
        verdict = _verdict(run, grade, [*flags, *finding.flags])
        verdict.reason = finding.reason or verdict.reason
        return verdict

    def _run(
        self, task: Task, guard: Guard, patch: str, boxes: Sandbox, test_files: Mapping[str, TestFile]
    ) -> tuple[str, TestRun]:
        """(the way in which the patch applied, the run of the tests). BadPatch, RecordError, SandboxError, _Stray."""
        spec = box_spec(f"verify-{task.instance_id}", task.environment, workspace(task.source), boxes)
        box = boxes.create(spec)
        try:
            rung = apply_in_box(box, patch)
            if strays := [name for name in box.changed() if guard.reaches(name)]:
                raise _Stray(strays[0])
            prepare(box, task.environment, test_files=test_files)
            return rung, _spelt(task, run_tests(box, task.environment, timeout_s=self.options.timeout))
        finally:
            box.close()

    def _forged(self, task: Task, guard: Guard, patch: str, boxes: Sandbox) -> Finding:
        """Whether tests that passed were decided by what they expect."""
        known = partial(self._known, task, guard, boxes) if guard.keep(task.patch).patch.strip() else None
        return examine(task, _shown(task), partial(self._tried, task, guard, boxes, patch), known)

    def _tried(self, task: Task, guard: Guard, boxes: Sandbox, patch: str, files: Mapping[str, TestFile]) -> TestRun:
        """A run with a patch under other test files; one that could not be made has a problem."""
        try:
            return self._run(task, guard, patch, boxes, files)[1]
        except (BadPatch, _Stray) as error:
            return TestRun(problem=f"bad_patch: {error}")
        except RecordError as error:
            if error.stage != "setup":
                raise
            return TestRun(problem=str(error))

    def _known(self, task: Task, guard: Guard, boxes: Sandbox, files: Mapping[str, TestFile]) -> TestRun:
        """A run with the known change, made once for all attempts."""
        patch = guard.keep(task.patch).patch
        what = (task.source, patch, task.environment, task.verification, sorted(files.items()), self.options.timeout)
        name = digest_of(VERSION, boxes.name, msgspec.json.encode(what))
        make = partial(self._tried, task, guard, boxes, patch, files)
        return remembered(name, make) if self.options.reuse else make()


def _spelt(task: Task, run: TestRun) -> TestRun:
    """The run with its tests named as the task names them, where they stand in a log."""
    report, wanted = task.environment.report, task.verification
    if report.kind != "log":
        return run
    expected = (*wanted.FAIL_TO_PASS, *wanted.PASS_TO_PASS)
    return replace(run, outcomes=logs.aligned(run.outcomes, expected, report.path))


def _counted(task: Task, run: TestRun, known: Callable[[], TestRun]) -> TestRun:
    """The run with PASS_TO_PASS tests passed that did not run, where a log says so of the known change too.

    To SWE-bench a skipped one and an expected failure have passed, and its lists hold such tests.
    """
    odd = {test for test in task.verification.PASS_TO_PASS if run.outcomes.get(test) in ("SKIPPED", "XFAIL")}
    if not odd or task.environment.report.kind != "log" or not task.patch.strip():
        return run
    expected = known().outcomes
    same = {test for test in odd if expected.get(test) == run.outcomes[test]}
    return replace(run, outcomes={test: "PASSED" if test in same else run.outcomes[test] for test in run.outcomes})


class _Stray(Exception):
    """The patch changed a file that its headers do not name and that reaches into the test run."""


def _shown(task: Task) -> dict[str, str]:
    """The task's test files as they are at the base, which is what agents were shown of them, by name."""
    base = workspace(task.source)
    found = {name: read_test_file(base / place(name)) for name in task.test_files}
    return {name: file.text for name, file in found.items() if file.text is not None}


def _guard(task: Task) -> Guard:
    base = workspace(task.source)
    tests = frozenset(map(place, task.test_files))
    return Guard(tests, task.environment, lambda name: os.path.lexists(base / name), source_folders(task.patch))


def masked(reason: str) -> Verdict:
    """A verdict that says nothing about the attempt."""
    return Verdict(masked=True, reason=reason, evidence={"grading": ""})


def _verdict(run: TestRun, grade: Grade, flags: list[str]) -> Verdict:
    bad_f2p = [test for test, status in grade.f2p.items() if status != "PASSED"]
    bad_p2p = [test for test, status in grade.p2p.items() if status != "PASSED"]
    reason = "passed"
    if run.problem:
        reason = run.problem
    elif not grade.passed:
        reason = f"{len(bad_f2p)} FAIL_TO_PASS and {len(bad_p2p)} PASS_TO_PASS tests did not pass"
    return Verdict(
        reward=float(grade.passed),
        passed=grade.passed,
        parts={
            "f2p": [len(grade.f2p) - len(bad_f2p), len(grade.f2p)],
            "p2p": [len(grade.p2p) - len(bad_p2p), len(grade.p2p)],
        },
        flags=flags,
        reason=reason,
        evidence={
            "exit_code": run.exit_code,
            "counts": run.counts(),
            "not_passed": {test: {**grade.f2p, **grade.p2p}[test] for test in (bad_f2p + bad_p2p)[:50]},
            "log_tail": "" if grade.passed else run.log_tail[-1500:],
        },
    )


@lru_cache(maxsize=4)
def _sandbox(name: str) -> Sandbox:
    return warm(sandbox(name))
