"""Verdicts by rule: exact, numeric and regular-expression answers, programs, verifiable constraints.

In: a task whose `verification.rubric` has a list `rules` (or whose `verification.answer` is the one right answer), and
an attempt. Out: `Outcome`s and the verdict made of them: the reward is the rules' weighted mean, the attempt passes
when each rule holds. What is expected never enters a box, so nothing in one can copy it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from katcore.errors import RecordError
from katcore.records import Json, Task, Trajectory, Verdict
from katcore.verify.answer import answer_of
from katcore.verify.constraints import Kwargs, broken, found_by
from katcore.verify.numbers import REL, is_integer, number_of, same
from katcore.verify.visible import visible

LONGEST = 1_000_000
"""The most characters of an answer that rules look at; a longer one follows none of them."""
LONGEST_CONSTRAINED = 50_000
"""The most characters of a response that constraints look at: the time of their patterns grows with the square."""
MOST = 1e9
"""The largest weight, tolerance or penalty: with infinite ones a reward is no number."""
REGEX_S = 10.0
"""Seconds that a regular expression may take over an answer: some answers would make one run for ever."""

_MATCH = Path(__file__).resolve().with_name("match_process.py")


NotNegative = Annotated[float, Meta(ge=0, le=MOST)]


class _Rule(Struct, kw_only=True, tag_field="check", forbid_unknown_fields=True):
    weight: NotNegative = 1.0


class Exact(_Rule, tag="exact"):
    """The answer is this text, but for white space around it and, where it is asked for, case."""

    answer: str
    ignore_case: bool = False


class Numeric(_Rule, tag="numeric"):
    """The answer's number, in `\\boxed{}` or else the last one in it, is this one.

    An integer is it exactly, another number within a millionth of it; `rel` and `abs` ask for other tolerances.
    """

    answer: int | float
    rel: NotNegative | None = None
    abs: NotNegative | None = None


class Regex(_Rule, tag="regex"):
    """The pattern matches the whole answer; without `whole` some place in it, which an answer that lists all does."""

    pattern: str
    whole: bool = True


class Case(Struct, kw_only=True, forbid_unknown_fields=True):
    """One run of a program: its input and what it must print, or the call of a function and what it must return."""

    stdin: str = ""
    stdout: str | None = None
    call: str = ""
    arguments: list[object] = []
    value: object = None


class Program(_Rule, tag="program"):
    """A program as an online judge takes it.

    It is the file of that name which the attempt wrote, else the code in its answer. `command` runs it, `build` makes
    it first; the limits are for each case. `compare`: `tokens` ignores how white space is written, `exact` all but the
    white space at line ends, `numeric` compares tokens as numbers. Integers are compared exactly, other numbers within
    `rel` of what is wanted, or within `abs`. With `partial` a share of the cases earns a share of the reward.
    """

    cases: list[Case]
    file: str = "solution.py"
    language: str = "python"
    build: str = ""
    command: str = "python3 solution.py"
    time_s: float = 10.0
    memory_mib: int = 512
    compare: Literal["tokens", "exact", "numeric"] = "tokens"
    partial: bool = False
    rel: NotNegative = REL
    abs: NotNegative = 0.0


class Constraints(_Rule, tag="constraints"):
    """Verifiable instructions in IFEval's columns. Each one broken costs `penalty`, by default its equal share."""

    instruction_id_list: list[str]
    kwargs: list[Kwargs] = []
    penalty: NotNegative | None = None


Rule = Exact | Numeric | Regex | Program | Constraints


@dataclass(frozen=True)
class Outcome:
    """The outcome of one rule: a score in [0, 1], whether the rule holds, and what was seen."""

    check: str
    score: float
    holds: bool
    seen: Json = field(default_factory=dict)


Runner = Callable[[Task, Trajectory, Program], Outcome]
"""Runs a program in a box; raises SandboxError when the box fails."""


def rules_of(task: Task) -> list[Rule]:
    """The task's rules. RecordError when there is none or one is malformed."""
    given = (task.verification.rubric or {}).get("rules")
    if given is None:
        if task.verification.answer is None:
            raise RecordError("task", "verification by rules needs an answer or rubric.rules")
        return [Exact(answer=task.verification.answer)]
    try:
        found = msgspec.convert(given, list[Rule])
    except msgspec.ValidationError as error:
        raise RecordError("task", f"rubric.rules: {error}") from error
    if not found or sum(rule.weight for rule in found) <= 0:
        raise RecordError("task", "rubric.rules: needs a rule, and weights that are not all 0")
    return found


def verdict(task: Task, trajectory: Trajectory, run: Runner) -> Verdict:
    """The rules' verdict. RecordError for malformed rules, SandboxError from `run`."""
    rules = rules_of(task)
    answer = answer_of(trajectory)
    outcomes = [run(task, trajectory, rule) if isinstance(rule, Program) else check(rule, answer) for rule in rules]
    return combine(rules, outcomes)


def combine(rules: Sequence[Rule], outcomes: Sequence[Outcome]) -> Verdict:
    """Weighted mean of the scores; passed when every rule of a weight holds."""
    total = sum(rule.weight for rule in rules)
    reward = sum(rule.weight * outcome.score for rule, outcome in zip(rules, outcomes)) / total
    passed = all(outcome.holds for rule, outcome in zip(rules, outcomes) if rule.weight)
    held = sum(outcome.holds for outcome in outcomes)
    first = next((outcome for outcome in outcomes if not outcome.holds), None)
    return Verdict(
        reward=round(reward, 6),
        passed=passed,
        parts={"rules": [held, len(outcomes)], "scores": [round(outcome.score, 6) for outcome in outcomes]},
        reason="passed" if first is None else str(first.seen.get("reason") or f"{first.check} does not hold"),
        evidence={"rules": [{"check": o.check, "holds": o.holds, **o.seen} for o in outcomes]},
    )


def check(rule: Exact | Numeric | Regex | Constraints, answer: str) -> Outcome:
    """The outcome of a rule that looks at the answer alone."""
    if isinstance(rule, Constraints):
        return _constraints(rule, answer)
    name = str(rule.__struct_config__.tag)
    if len(answer) > LONGEST:
        return Outcome(name, 0.0, False, {"reason": f"an answer of more than {LONGEST} characters"})
    if isinstance(rule, Exact):
        holds = _folded(answer, rule.ignore_case) == _folded(rule.answer, rule.ignore_case)
        return Outcome(name, float(holds), holds)
    if isinstance(rule, Numeric):
        return _number(rule, answer)
    holds, reason = _matches(rule, answer)
    return Outcome(name, float(holds), holds, {"reason": reason} if reason else {})


def _number(rule: Numeric, answer: str) -> Outcome:
    if isinstance(rule.answer, float) and not isfinite(rule.answer):
        raise RecordError("task", "rubric.rules: numeric: an answer without end")
    number = number_of(answer)
    asked = rule.rel is not None or rule.abs is not None
    rel = (rule.rel or 0.0) if asked or is_integer(rule.answer) else REL
    holds = number is not None and same(number, rule.answer, rel, rule.abs or 0.0)
    return Outcome("numeric", float(holds), holds, {"number": None if number is None else _shown(number)})


def _shown(number: Decimal) -> int | float | str:
    """The number as JSON has it, or what is longer than that as text."""
    if abs(number.adjusted()) > 300 or len(number.as_tuple().digits) > 17:
        return str(number)[:100]
    return int(number) if is_integer(number) and number.adjusted() < 17 else float(number)


def _folded(text: str, ignore_case: bool) -> str:
    text = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return text.casefold() if ignore_case else text


def _matches(rule: Regex, answer: str) -> tuple[bool, str]:
    """(whether the rule's pattern matches, what went wrong); run in a process that is ended after REGEX_S."""
    try:
        re.compile(rule.pattern)
    except re.error as error:
        raise RecordError("task", f"rubric.rules: bad pattern: {error}") from error
    given = json.dumps([rule.pattern, answer.strip(), "fullmatch" if rule.whole else "search"]).encode()
    command = [sys.executable, "-I", "-S", str(_MATCH)]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=REGEX_S, check=False)
    except subprocess.TimeoutExpired:
        return False, f"the pattern took longer than {REGEX_S:g} s"
    return done.returncode == 0, ""


def _constraints(rule: Constraints, answer: str) -> Outcome:
    names = rule.instruction_id_list
    kwargs = rule.kwargs or [{}] * len(names)
    if len(kwargs) != len(names) or not names:
        raise RecordError("task", f"rubric.rules: {len(names)} instructions with {len(kwargs)} kwargs")
    shown = visible(answer) if len(answer) <= LONGEST else answer
    read = shown if len(shown) <= LONGEST_CONSTRAINED else ""  # what is too long follows nothing
    failed = [name for name, given in zip(names, kwargs) if broken(name, given, read)]
    penalty = 1 / len(names) if rule.penalty is None else rule.penalty
    reason = f"{len(failed)} of {len(names)} constraints broken: {', '.join(failed)}" if failed else ""
    if read != shown:
        reason = f"a response of more than {LONGEST_CONSTRAINED} characters"
    score = max(0.0, 1 - penalty * len(failed))
    seen: Json = {"broken": failed, "of": len(names), "reason": reason, **found_by(names, read)}
    return Outcome("constraints", score, not failed, seen)
