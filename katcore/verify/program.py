"""Run an attempt's program as an online judge does: one box, each case with time and memory limits.

In: a task, an attempt, a `Program` rule. Out: an `Outcome`. The expected output stays outside: only inputs enter the
box, and comparing happens here. What a case came to is one of AC, WA, TLE, MLE, RE (wrong exit), CE (no build).
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from katcore.disk.in_box import program
from katcore.environment.built import box_spec
from katcore.environment.patch import BadPatch, apply_in_box
from katcore.environment.workspace import workspace
from katcore.records import Task, Trajectory
from katcore.sandbox import PYTHON, Box, Limits, Result, Sandbox
from katcore.verify.answer import answer_of, code_of
from katcore.verify.rules import LONGEST, Case, Outcome, Program

BUILD_S = 120.0
SLACK_S = 0.25
"""Seconds of wall time granted to each case beyond its limit, for what the box itself takes."""
PATH = "/tmp/judge-bin:/opt/env/bin:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class ProgramRunner:
    """Runs programs in boxes of one kind."""

    sandbox: Sandbox

    def __call__(self, task: Task, trajectory: Trajectory, rule: Program) -> Outcome:
        """The rule's outcome from all cases in order, in one box of their own. SandboxError when the box fails."""
        has_repo = bool(task.source.url)
        limits = Limits(memory_mib=rule.memory_mib, pids=64, cpu_s=max(1, int(rule.time_s) + 1), disk_mib=512)
        repo = workspace(task.source) if has_repo else None
        box = self.sandbox.create(
            box_spec(f"rules-{task.instance_id}", task.environment, repo, self.sandbox, limits=limits)
        )
        try:
            if problem := _place(box, trajectory, rule):
                return _outcome(rule, ["CE"] * len(rule.cases), problem)
            return _outcome(rule, [_run(box, rule, case) for case in rule.cases], "")
        finally:
            box.close()


def _place(box: Box, trajectory: Trajectory, rule: Program) -> str:
    """Put the attempt's files into the box and build them; returns why it cannot be run, empty when it can."""
    box.exec(["mkdir", "-p", "/tmp/judge-bin"], cwd="/tmp")
    box.exec(["ln", "-sf", PYTHON, "/tmp/judge-bin/python3"], cwd="/tmp")
    if patch := trajectory.patch or "":
        try:
            apply_in_box(box, patch)
        except BadPatch as error:
            return f"the patch does not apply: {error}"
    if box.exec(["test", "-e", rule.file]).code != 0:
        box.put(rule.file, code_of(answer_of(trajectory)[:LONGEST], rule.language).encode())
    if rule.build:
        done = box.exec(rule.build, env={"PATH": PATH}, timeout_s=BUILD_S)
        if done.code != 0:
            return f"the build ended with {done.code}: {done.stderr.decode('utf-8', 'replace')[-500:]}"
    return ""


def _run(box: Box, rule: Program, case: Case) -> str:
    env = {"PATH": PATH, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    command: Sequence[str] | str = rule.command
    if case.call:
        given = json.dumps([rule.file, case.call, case.arguments]).encode()
        command = [PYTHON, "-c", program("katcore.verify", "call"), base64.b64encode(given).decode()]
    done = box.exec(command, env=env, stdin=case.stdin.encode(), timeout_s=rule.time_s + SLACK_S)
    if done.timed_out or done.seconds > rule.time_s + SLACK_S:
        return "TLE"
    if done.code != 0:
        return _failure(done)
    return "AC" if _right(rule, case, done.stdout.decode("utf-8", "replace")) else "WA"


def _failure(done: Result) -> str:
    """TLE, MLE or RE for a failed run: 128 + SIGXCPU is the processor's limit, 128 + SIGKILL in time the memory's."""
    if done.code == 152:
        return "TLE"
    return "MLE" if done.code == 137 or b"MemoryError" in done.stderr[-2000:] else "RE"


def _right(rule: Program, case: Case, printed: str) -> bool:
    if case.call:
        try:
            return _equal(json.loads(printed), case.value)
        except (ValueError, RecursionError, OverflowError):  # no JSON, nested to drive us mad, no float can hold it
            return False
    if case.stdout is None:
        return True
    if rule.compare == "exact":
        return _lines(printed) == _lines(case.stdout)
    own, wanted = printed.split(), case.stdout.split()
    if rule.compare == "tokens":
        return own == wanted
    return len(own) == len(wanted) and all(_near(a, b) for a, b in zip(own, wanted))


def _equal(value: Any, wanted: Any) -> bool:
    """Whether two JSON values are equal: numbers by value, floats within 1e-6; true is not 1."""
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_equal, value, wanted))
    if isinstance(value, dict) and isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(_equal(value[key], wanted[key]) for key in wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, float) or isinstance(wanted, float):
        return isinstance(value, int | float) and isinstance(wanted, int | float) and _close(value, wanted)
    return bool(value == wanted)


def _close(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


def _near(a: str, b: str) -> bool:
    try:
        return a == b or _close(float(a), float(b))
    except ValueError:
        return False


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _outcome(rule: Program, results: list[str], problem: str) -> Outcome:
    right = results.count("AC")
    holds = right == len(results) > 0
    score = right / len(results) if rule.partial and results else float(holds)
    first = next((f"case {i}: {result}" for i, result in enumerate(results) if result != "AC"), "")
    seen = {"cases": [right, len(results)], "results": dict(sorted(Counter(results).items()))}
    return Outcome("program", score, holds, {**seen, "reason": problem or first})
