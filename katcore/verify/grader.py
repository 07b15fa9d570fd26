"""Grade a patch by its task's tests: a fresh box, the patch only, the task's own test files, no network.

What passes is run once more with wrong expectations (`testrun/control.py`): results that code under test forges in its
own process pass then too. In: a task and a patch. Out: a verdict. Task, patch and kind of sandbox decide it, so a
finished grading is kept in the cache and used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from katcore.cache import cache_dir, digest_of, locked
from katcore.errors import RecordError, SandboxError
from katcore.records import Task, TestFile, Verdict
from katcore.sandbox import Sandbox, named, sandbox
from katcore.sandbox.warm import warm
from katcore.testrun import control
from katcore.testrun.environment import box_spec
from katcore.testrun.grade import Grade, judge
from katcore.testrun.guard import Guard, Kept
from katcore.testrun.patch import BadPatch, apply_in_box
from katcore.testrun.run import TestRun, prepare, run_tests
from katcore.testrun.test_files import with_test_files
from katcore.testrun.workspace import workspace

VERSION = "verdict/3"
"""Part of every cached verdict's name: a change of what grading means makes old ones unreachable."""
INFRASTRUCTURE = frozenset({"sandbox", "engine", "gateway"})
"""Ways to end that say nothing about the attempt."""


@dataclass(frozen=True)
class Grader:
    """Grades patches in boxes of the named sandbox; `reuse` takes verdicts of identical gradings from the cache."""

    sandbox: str = "bubblewrap"
    timeout_s: float = 1800.0
    reuse: bool = True

    def __post_init__(self) -> None:
        """An attempt that changed nothing needs no box: a wrong name is told before one does."""
        named(self.sandbox)

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
        what = (task.source, task.environment, task.verification, sorted(task.test_files.items()), self.timeout_s)
        name = digest_of(VERSION, boxes.name, msgspec.json.encode(what), kept.patch, *kept.dropped)
        final = cache_dir("verdict") / name
        with locked(final):
            if self.reuse and final.is_file():
                return msgspec.json.decode(final.read_bytes(), type=Verdict)
            verdict = self._grade(task, guard, kept, boxes)
            verdict.evidence["grading"] = name
            part = final.with_suffix(".new")
            part.write_bytes(msgspec.json.encode(verdict))
            part.replace(final)
        return verdict

    def _grade(self, task: Task, guard: Guard, kept: Kept, boxes: Sandbox) -> Verdict:
        flags = [f"dropped:{name}" for name in kept.dropped]
        if not kept.patch.strip():
            return Verdict(reason="the patch changes nothing but tests and their configuration", flags=flags)
        try:
            rung, run = self._run(task, guard, kept.patch, boxes, task.test_files)
            grade = judge(run.outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS)
            forged, said = self._forged(task, guard, kept.patch, boxes) if grade.passed else ([], "")
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
        if said:
            flags.append(f"control:{said}")
        if forged:
            outcomes = {test: status for test, status in run.outcomes.items() if test not in forged}
            grade = judge(outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS)
            verdict = _verdict(run, grade, [*flags, *(f"forged:{test}" for test in forged[:20])])
            verdict.reason = f"{len(forged)} tests pass whatever they expect: their results are forged"
            return verdict
        return _verdict(run, grade, flags)

    def _run(
        self, task: Task, guard: Guard, patch: str, boxes: Sandbox, test_files: Mapping[str, TestFile]
    ) -> tuple[str, TestRun]:
        """The rung that the patch was applied with, and its tests' run. BadPatch, RecordError, SandboxError, _Stray."""
        spec = box_spec(f"verify-{task.instance_id}", task.environment, workspace(task.source), boxes)
        box = boxes.create(spec)
        try:
            rung = apply_in_box(box, patch)
            if strays := [name for name in box.changed() if guard.reaches(name)]:
                raise _Stray(strays[0])
            prepare(box, task.environment, test_files=test_files)
            return rung, run_tests(box, task.environment, timeout_s=self.timeout_s)
        finally:
            box.close()

    def _forged(self, task: Task, guard: Guard, patch: str, boxes: Sandbox) -> tuple[list[str], str]:
        """Tests that pass with wrong expectations too, and why the control says nothing, if it does not.

        Some honest tests do (an assertion that is never reached): the known change tells which, where there is one.
        """
        files, spoiled = _control(task)
        if not spoiled:
            return [], "none"
        _, run = self._run(task, guard, patch, boxes, files)
        if run.problem:
            return [], run.problem.split(":")[0]
        passed = [test for test in spoiled if run.outcomes.get(test) == "PASSED"]
        if passed and task.patch.strip():
            _, honest = self._run(task, guard, guard.keep(task.patch).patch, boxes, files)
            passed = [test for test in passed if honest.outcomes.get(test) != "PASSED"]
        elif not set(task.verification.FAIL_TO_PASS) <= set(passed):
            passed = []
        return passed, ""


class _Stray(Exception):
    """The patch changed a file that its headers do not name and that reaches into the test run."""


def _control(task: Task) -> tuple[dict[str, TestFile], list[str]]:
    """The task's test files with wrong expectations, and the tests that have them."""
    by_file: dict[str, list[str]] = {}
    for test in [*task.verification.FAIL_TO_PASS, *task.verification.PASS_TO_PASS]:
        name, _, inner = test.partition("::")
        by_file.setdefault(name, []).append(inner)
    files, found = dict(task.test_files), []
    for name, tests in by_file.items():
        file = files.get(name)
        if file is None or file.text is None or not name.endswith(".py"):
            continue
        text, names = control.spoiled(file.text, tests)
        files[name] = TestFile(text=text, mode=file.mode)
        found += [f"{name}::{inner}" for inner in names]
    return files, found


def _guard(task: Task) -> Guard:
    base = workspace(task.source)
    return Guard(task.test_files, task.environment, lambda name: (base / name).exists())


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
