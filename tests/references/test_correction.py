"""Signals over scripted rollouts: what is kept, what is put right and by which step, and when it ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from katcore.errors import InputError, UsageError
from katcore.references import Corrector, Rules, Signal, Step, Steps, correct, step_of


def step(*commands: str) -> Step:
    calls = [{"function": {"name": "bash", "arguments": json.dumps({"command": c})}} for c in commands]
    return step_of({"role": "assistant", "tool_calls": calls})


def path(*commands: str) -> Steps:
    return tuple(step(c) for c in commands)


ONE = path("ls", "cat a.py", "sed -i s/x/y/ a.py", "pytest -q")
TWO = path("ls", "grep -rn bug src/", "cat b.py", "sed -i s/x/y/ b.py", "pytest -q")
AWAY = step("make docs")


RULES = Rules(threshold=0.5, patience=3, replace=True)


def decisions(proposals: list[Step], rules: Rules = RULES) -> tuple[list[str], list[Signal]]:
    corrector = Corrector([ONE, TWO], rules)
    signals = []
    for proposal in proposals:
        signals.append(corrector.offer(proposal))
        if signals[-1].decision == "stop":
            break
    return [s.decision for s in signals], signals


@pytest.mark.parametrize("reference", [0, 1])
def test_along_a_reference_everything_is_kept(reference: int) -> None:
    found, signals = decisions(list((ONE, TWO)[reference]))
    assert set(found) == {"keep"} and all(s.deviation == 0 for s in signals)
    assert signals[-1].reference == reference


def test_other_arguments_for_the_same_file_are_kept() -> None:
    found, signals = decisions([step("ls"), step("head -50 a.py"), step("sed -i s/foo/bar/g a.py"), step("pytest")])
    assert found == ["keep"] * 4 and 0 < max(s.deviation for s in signals) <= 0.5


def test_the_first_step_away_is_replaced_and_the_rollout_goes_on() -> None:
    found, signals = decisions([step("ls"), AWAY, step("sed -i s/x/y/ a.py"), step("pytest -q")])
    assert found == ["keep", "replace", "keep", "keep"]
    assert signals[1].step == ONE[1] and signals[1].reference == 0 and signals[1].streak == 1
    assert [s.deviation for s in signals[2:]] == [0, 0]  # as if the agent had taken it itself


def test_the_nearest_references_step_is_taken() -> None:
    found, signals = decisions([step("ls"), step("grep -rn bug src/"), AWAY])
    assert found[-1] == "replace" and signals[-1].reference == 1 and signals[-1].step == TWO[2]


def test_a_rollout_that_stays_away_is_stopped_after_patience_steps() -> None:
    for rules in (RULES, replace(RULES, replace=False)):
        found, signals = decisions([step("ls"), AWAY, AWAY, AWAY, AWAY], rules)
        assert found[-1] == "stop" and len(found) == 4
        assert [s.streak for s in signals] == [0, 1, 2, 3]
    assert decisions([AWAY], replace(RULES, patience=1))[0] == ["stop"]


def test_coming_back_starts_the_count_again() -> None:
    back = [step("ls"), AWAY, AWAY, step("cat a.py"), AWAY, AWAY, step("sed -i s/x/y/ a.py")]
    found, signals = decisions(back, replace(RULES, replace=False))
    assert found == ["keep"] * 7
    assert [s.streak for s in signals] == [0, 1, 2, 0, 1, 2, 0]


def test_talk_is_kept_and_neither_counts_nor_resets() -> None:
    talk = step_of({"role": "assistant", "content": "let me think"})
    found, signals = decisions([AWAY, talk, AWAY, talk, AWAY])
    assert found == ["replace", "keep", "replace", "keep", "stop"]
    assert [s.streak for s in signals] == [1, 1, 2, 2, 3]


def test_after_the_references_end_there_is_nothing_to_put_in_place() -> None:
    found, _ = decisions([*ONE, AWAY, AWAY, AWAY])
    assert found == ["keep"] * 6 + ["stop"]


def test_parallel_calls_are_judged_together_and_replaced_by_whole_steps() -> None:
    reference = (step("ls", "cat a.py"), step("pytest -q"))
    corrector = Corrector([reference], RULES)
    assert corrector.offer(step("ls", "cat a.py")).deviation == 0
    both = Corrector([reference], RULES).offer(step("ls", "make docs"))
    assert both.decision == "keep" and 0.4 < both.deviation <= 0.5  # one of two
    signal = Corrector([reference], RULES).offer(step("make docs", "make html"))
    assert signal.decision == "replace" and signal.step == reference[0]


def test_a_threshold_of_one_lets_everything_pass_and_of_zero_only_the_same() -> None:
    assert decisions([AWAY] * 5, replace(RULES, threshold=1.0))[0] == ["keep"] * 5
    assert decisions([step("ls"), step("head a.py")], replace(RULES, threshold=0.0))[0] == ["keep", "replace"]


def test_the_stateless_form_says_the_same() -> None:
    proposals = [step("ls"), AWAY, step("sed -i s/x/y/ a.py"), AWAY, AWAY]
    corrector, taken, streak = Corrector([ONE, TWO], RULES), [], 0
    for proposal in proposals:
        expected = corrector.offer(proposal)
        signal = correct(taken, proposal, [ONE, TWO], RULES, streak=streak)
        assert signal == expected
        taken.append(signal.step or proposal)
        streak = signal.streak
    assert [len(taken), streak] == [5, 2]


def test_what_cannot_be() -> None:
    with pytest.raises(InputError):
        Corrector([], RULES)
    with pytest.raises(UsageError):
        replace(RULES, threshold=1.5)
    with pytest.raises(UsageError):
        replace(RULES, patience=-1)
    assert Rules(0.5, patience=0, replace=False).idle and not replace(RULES, patience=0).idle
