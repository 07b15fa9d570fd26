"""The dual verifier of method.md § 2.4: rules and a multi-dimension judge on one attempt.

In: a task, the rules' (or tests') verdict, and a way to ask the judge. Out: one verdict. Rules come first and are a
gate: what they fail earns nothing, however well it reads, and the judge is not asked. What they pass earns
`rules_weight + (1 − rules_weight) · judge`. Masked when either was, with the reason: half a verdict is none.
"""

from __future__ import annotations

from collections.abc import Callable

from katcore.errors import RecordError
from katcore.records import Task, Verdict
from katcore.verify.grader import masked

RULES_WEIGHT = 0.5
DISAGREEMENT = 0.5
"""A judge's reward below which an attempt that passed by rule is flagged `verifiers_disagree`."""


def verdict(task: Task, first: Verdict, ask: Callable[[], Verdict]) -> Verdict:
    """The mixed verdict of rules or tests (`first`) and judge (`ask`), as method.md § 2.4 has it.

    Raises RecordError for a weight outside [0, 1], and what `ask` raises.
    """
    weight = (task.verification.rubric or {}).get("rules_weight", RULES_WEIGHT)
    if not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise RecordError("task", f"rubric.rules_weight: {weight!r} is not in [0, 1]")
    if first.masked:
        return first
    if not first.passed:
        return _joined(first, None, 0.0, False, first.reason)
    second = ask()
    if second.masked:
        out = masked(second.reason)
        out.parts, out.flags = {"rules": first.reward, "judge": None}, [*first.flags, *second.flags]
        return out
    reward = round(weight * first.reward + (1 - weight) * second.reward, 6)
    out = _joined(first, second, reward, second.passed, second.reason)
    if second.reward < DISAGREEMENT:
        out.flags.append("verifiers_disagree")
    return out


def _joined(first: Verdict, second: Verdict | None, reward: float, passed: bool, reason: str) -> Verdict:
    return Verdict(
        reward=reward,
        passed=passed,
        parts={
            "rules": first.reward,
            "judge": second.reward if second else None,
            "by_rule": first.parts,
            "by_judge": second.parts if second else {},
        },
        flags=[*first.flags, *(second.flags if second else [])],
        reason=reason,
        evidence={"rules": first.evidence, "judge": second.evidence if second else {}},
    )
