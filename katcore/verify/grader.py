"""Grade one trajectory by its task's tests: a fresh box, the patch only, the task's own test files, no network.

In: an `Attempt`. Out: the trajectory's line with `verdict` and `timing.grade` set, everything else untouched. The same
task, patch and kind of sandbox give the same verdict, so a finished grading is kept in the cache and used again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from katcore.cache import cache_dir, digest_of, locked
from katcore.errors import InputError, RecordError, SandboxError, UsageError
from katcore.pool import Item
from katcore.records import Task, Timing, Trajectory, Verdict
from katcore.sandbox import SANDBOXES, Limits, Sandbox, Spec, sandbox
from katcore.streams import splice
from katcore.testrun.environment import environment_mounts
from katcore.testrun.grade import Grade, judge
from katcore.testrun.guard import Guard, Kept
from katcore.testrun.patch import BadPatch, apply_in_box
from katcore.testrun.run import TestRun, prepare, run_tests
from katcore.testrun.workspace import workspace
from katcore.verify.attempts import Attempt

VERSION = "verdict/2"
"""Part of every cached verdict's name: a change of what grading means makes old ones unreachable."""
INFRASTRUCTURE = frozenset({"sandbox", "engine", "gateway"})
"""Ways to end that say nothing about the attempt."""


@dataclass(frozen=True)
class Grader:
    """Grades attempts in boxes of the named sandbox; `reuse` takes verdicts of identical gradings from the cache."""

    sandbox: str = "bubblewrap"
    timeout_s: float = 1800.0
    reuse: bool = True

    def __post_init__(self) -> None:
        """An attempt that changed nothing needs no box: a wrong name is told before one does."""
        if self.sandbox not in SANDBOXES:
            raise UsageError(f"unknown sandbox {self.sandbox!r}", hint=f"one of: {', '.join(SANDBOXES)}")

    def __call__(self, item: Item) -> Iterator[bytes]:
        attempt: Attempt = item.payload
        trajectory, task = attempt.trajectory, attempt.task
        if task is None:
            raise RecordError("task", f"no record of task {trajectory.task_id} came before this trajectory")
        if task.verification.kind != "tests":
            raise RecordError("task", f"verification by {task.verification.kind} is not supported yet")
        try:
            graded = self.graded(trajectory, task)
        except InputError as error:  # this task's repository is not to be had; others' are
            raise RecordError("source", str(error)) from error
        yield splice(attempt.raw, verdict=graded.verdict, timing=graded.timing)

    def graded(self, trajectory: Trajectory, task: Task) -> Trajectory:
        """The trajectory with its verdict and the seconds that grading took."""
        started = time.monotonic()
        if trajectory.exit.kind in INFRASTRUCTURE:
            verdict = masked(f"{trajectory.exit.kind}: {trajectory.exit.detail}")
        else:
            verdict = self.grade(task, trajectory.patch or "")
        seconds = round(time.monotonic() - started, 3)
        timing = Timing(boot=trajectory.timing.boot, agent=trajectory.timing.agent, grade=seconds)
        return msgspec.structs.replace(trajectory, verdict=verdict, timing=timing)

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
        mounts = environment_mounts(task.environment, boxes)
        spec = Spec(
            f"verify-{task.instance_id}", workspace(task.source), task.environment.workdir, mounts, limits=Limits()
        )
        box = boxes.create(spec)
        try:
            rung = apply_in_box(box, kept.patch)
            if strays := [name for name in box.changed() if guard.reaches(name)]:
                return Verdict(reason=f"the patch changes {strays[0]!r}, which its headers do not name", flags=flags)
            prepare(box, task.environment, test_files=task.test_files)
            run = run_tests(box, task.environment, timeout_s=self.timeout_s)
        except BadPatch as error:
            return Verdict(reason=f"the patch does not apply: {error}", flags=flags)
        except RecordError as error:
            if error.stage != "setup":
                raise
            return Verdict(reason=str(error), flags=flags)
        finally:
            box.close()
        if rung == "patch":
            flags.append("applied_with_fuzz")
        return _verdict(run, judge(run.outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS), flags)


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
    return sandbox(name)
