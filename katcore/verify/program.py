"""Run an attempt's program as an online judge does: each case in a box of its own, with time and memory limits.

In: a task, an attempt, a `Program` rule. Out: an `Outcome`. The expected output stays outside: only inputs enter the
boxes, and comparing happens here. Nothing passes from one case to the next: what a build made in the workdir is carried
to each, as it was before the first. What a case came to is one of AC, WA, TLE, MLE, RE (wrong exit), CE (no build).
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from katcore.disk.in_box import program
from katcore.environment.built import box_spec
from katcore.environment.patch import BadPatch, apply_in_box
from katcore.environment.workspace import workspace
from katcore.errors import SandboxError
from katcore.records import Task, Trajectory
from katcore.sandbox import PYTHON, Box, Limits, Result, Sandbox, Spec
from katcore.verify.answer import answer_of, code_of
from katcore.verify.numbers import same, token_number
from katcore.verify.rules import LONGEST, Case, Outcome, Program

BUILD_S = 120.0
SLACK_S = 0.25
"""Seconds of wall time granted to each case beyond its limit, for what the box itself takes."""
CARRIED = "/tmp/judge-built.tar"
PATH = "/tmp/judge-bin:/opt/env/bin:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class ProgramRunner:
    """Runs programs in boxes of one kind."""

    sandbox: Sandbox

    def __call__(self, task: Task, trajectory: Trajectory, rule: Program) -> Outcome:
        """The rule's outcome from all cases in order. SandboxError when a box fails."""
        patch = trajectory.patch or ""
        code = code_of(answer_of(trajectory)[:LONGEST], rule.language).encode()
        limits = Limits(memory_mib=rule.memory_mib, pids=64, cpu_s=max(1, int(rule.time_s) + 1), disk_mib=512)
        repo = workspace(task.source) if task.source.url else None
        spec = box_spec(f"rules-{task.instance_id}", task.environment, repo, self.sandbox, limits=limits)
        try:
            built = b""
            if rule.build:
                with closing(self.sandbox.create(spec)) as box:
                    _place(box, rule, patch, code)
                    built = _built(box, rule)
            return _outcome(rule, [self._case(spec, rule, case, patch, code, built) for case in rule.cases], "")
        except BadPatch as error:
            return _outcome(rule, ["CE"] * len(rule.cases), f"the patch does not apply: {error}")
        except _NotBuilt as error:
            return _outcome(rule, ["CE"] * len(rule.cases), str(error))

    def _case(self, spec: Spec, rule: Program, case: Case, patch: str, code: bytes, built: bytes) -> str:
        with closing(self.sandbox.create(spec)) as box:
            _place(box, rule, patch, code)
            if built:
                box.put(CARRIED, built)
                done = box.exec([PYTHON, "-I", "-c", program("katcore.verify", "built"), "take", CARRIED])
                if done.code != 0:
                    raise SandboxError("what was built cannot be carried to another box")
            return _run(box, rule, case)


class _NotBuilt(Exception):
    """The attempt's program cannot be built."""


def _place(box: Box, rule: Program, patch: str, code: bytes) -> None:
    """Put the attempt's files into a box. BadPatch."""
    if patch:
        apply_in_box(box, patch)
    script = f'mkdir -p /tmp/judge-bin && ln -sf {PYTHON} /tmp/judge-bin/python3; test -e "$1"'
    if box.exec(["/bin/sh", "-c", script, "sh", rule.file]).code != 0:
        box.put(rule.file, code)


def _built(box: Box, rule: Program) -> bytes:
    """Build the program; returns an archive of the workdir's files that differ from the repository's. _NotBuilt."""
    done = box.exec(rule.build, env={"PATH": PATH}, timeout_s=BUILD_S)
    if done.code != 0:
        said = done.stderr.decode("utf-8", "replace")[-500:]
        raise _NotBuilt(f"the build ended with {done.code}: {said}")
    names = "\0".join(box.changed()).encode("utf-8", "surrogateescape")
    packed = box.exec([PYTHON, "-I", "-c", program("katcore.verify", "built"), "give", CARRIED], stdin=names)
    try:
        if packed.code == 0:
            return box.get(CARRIED)
    except OSError:
        pass  # larger than what a box gives out
    raise _NotBuilt("what the build left is too large or cannot be read")


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
            return _equal(json.loads(printed), case.value, rule)
        except (ValueError, RecursionError, OverflowError):  # no JSON, nested to drive us mad, no float can hold it
            return False
    if case.stdout is None:
        return True
    if rule.compare == "exact":
        return _lines(printed) == _lines(case.stdout)
    own, wanted = printed.split(), case.stdout.split()
    if rule.compare == "tokens":
        return own == wanted
    return len(own) == len(wanted) and all(_near(a, b, rule) for a, b in zip(own, wanted))


def _equal(value: Any, wanted: Any, rule: Program) -> bool:
    """Whether two JSON values are equal: integers exactly, others within tolerances; true is not 1."""
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(_equal(*pair, rule) for pair in zip(value, wanted))
    if isinstance(value, dict) and isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(_equal(value[key], wanted[key], rule) for key in wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, float):
        return isinstance(value, int | float) and same(value, wanted, rule.rel, rule.abs)
    return bool(value == wanted)


def _near(token: str, wanted: str, rule: Program) -> bool:
    """Whether two tokens are equal, or numbers that are: exactly where an integer is wanted, else within tolerances."""
    if token == wanted:
        return True
    one, other = token_number(token), token_number(wanted)
    if one is None or other is None:
        return False
    return one == other if wanted.lstrip("+-").isdecimal() else same(one, other, rule.rel, rule.abs)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _outcome(rule: Program, results: list[str], problem: str) -> Outcome:
    right = results.count("AC")
    holds = right == len(results) > 0
    score = right / len(results) if rule.partial and results else float(holds)
    first = next((f"case {i}: {result}" for i, result in enumerate(results) if result != "AC"), "")
    seen = {"cases": [right, len(results)], "results": dict(sorted(Counter(results).items()))}
    return Outcome("program", score, holds, {**seen, "reason": problem or first})
