"""Grade one trajectory in the way its task asks for: tests, rules, judge, references, web, or rules and judge together.

In: an `Attempt`. Out: the trajectory's line with `verdict` and `timing.grade` set, everything else untouched. A box or
an endpoint that fails masks the verdict, with the reason: it says nothing about the attempt. Beside the verdict stand
flags for commands that look for the answer (`detect.py`); they cost no reward.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from katcore.errors import EngineError, InputError, RecordError, SandboxError
from katcore.pool import Item
from katcore.records import Task, Timing, Trajectory, Verdict
from katcore.sandbox import Sandbox, sandbox
from katcore.sandbox.warm import warm
from katcore.streams import splice
from katcore.verify import dual, references, rules, web
from katcore.verify.attempts import Attempt
from katcore.verify.detect import flags_of
from katcore.verify.grader import INFRASTRUCTURE, Grader, masked
from katcore.verify.judge import Judge
from katcore.verify.options import VerifyOptions
from katcore.verify.program import ProgramRunner


@dataclass(frozen=True)
class Verifier:
    """`judge` is asked where a task wants one; without it such a task is a dead letter."""

    grader: Grader = field(default_factory=Grader)
    judge: Judge | None = None

    @classmethod
    def of(cls, options: VerifyOptions) -> Verifier:
        """The verifier that the options ask for. UsageError, before any input is read."""
        return cls(Grader(options.tests), Judge.of(options.panel, options.tests.reuse))

    def __call__(self, item: Item) -> Iterator[bytes]:
        attempt: Attempt = item.payload
        trajectory, task = attempt.trajectory, attempt.task
        if task is None:
            raise RecordError("task", f"no record of task {trajectory.task_id} came before this trajectory")
        try:
            graded = self.graded(trajectory, task)
        except InputError as error:  # this task's repository or references are not to be had; others' are
            raise RecordError("source", str(error)) from error
        yield splice(attempt.raw, verdict=graded.verdict, timing=graded.timing)

    def graded(self, trajectory: Trajectory, task: Task) -> Trajectory:
        """The trajectory with its verdict and the seconds that grading took."""
        started = time.monotonic()
        verdict = self.verdict(trajectory, task)
        verdict.flags = [*verdict.flags, *(flag for flag in flags_of(trajectory) if flag not in verdict.flags)]
        seconds = round(time.monotonic() - started, 3)
        timing = Timing(boot=trajectory.timing.boot, agent=trajectory.timing.agent, grade=seconds)
        return msgspec.structs.replace(trajectory, verdict=verdict, timing=timing)

    def verdict(self, trajectory: Trajectory, task: Task) -> Verdict:
        """The verdict; masked when the box, the endpoint or an agent that never called is at fault. RecordError."""
        unasked = trajectory.exit.kind == "agent_error" and not (trajectory.calls or trajectory.nodes)
        if trajectory.exit.kind in INFRASTRUCTURE or unasked:
            return masked(f"{trajectory.exit.kind}: {trajectory.exit.detail}")
        try:
            return self._verdict(trajectory, task)
        except _BoxFailed as error:
            return masked(f"sandbox: {error}")
        except EngineError as error:
            return masked(f"judge: {error}")

    def _verdict(self, trajectory: Trajectory, task: Task) -> Verdict:
        match task.verification.kind:
            case "tests":
                return self.grader.grade(task, trajectory.patch or "")
            case "rules":
                return self._rules(trajectory, task)
            case "judge":
                return self._asked(task).verdict(task, trajectory)
            case "references":
                return references.verdict(task, trajectory)
            case "web":
                boxes = _sandbox(self.grader.sandbox)
                return _boxed(lambda: web.verdict(task, trajectory, boxes, self.judge))
            case "dual":
                tested = bool(task.verification.FAIL_TO_PASS)
                first = self.grader.grade(task, trajectory.patch or "") if tested else self._rules(trajectory, task)
                return dual.verdict(task, first, lambda: self._asked(task).verdict(task, trajectory))

    def _rules(self, trajectory: Trajectory, task: Task) -> Verdict:
        """The verdict by rules; a box is needed for programs alone. SandboxError on a machine that can run none."""
        programs = any(isinstance(rule, rules.Program) for rule in rules.rules_of(task))
        run = ProgramRunner(_sandbox(self.grader.sandbox)) if programs else _no_program
        return _boxed(lambda: rules.verdict(task, trajectory, run))

    def _asked(self, task: Task) -> Judge:
        if self.judge is None:
            raise RecordError("judge", f"verification by {task.verification.kind} needs --judge")
        return self.judge


class _BoxFailed(Exception):
    """A box failed after this machine was found able to run some: the attempt's verdict is masked."""


def _boxed(work: Callable[[], Verdict]) -> Verdict:
    try:
        return work()
    except SandboxError as error:
        raise _BoxFailed(str(error)) from error


def _no_program(task: Task, trajectory: Trajectory, rule: rules.Program) -> rules.Outcome:
    raise AssertionError("no rule of this task is a program")


@lru_cache(maxsize=4)
def _sandbox(name: str) -> Sandbox:
    return warm(sandbox(name))
