"""Rejection fine-tuning takes the best attempts; gspo takes what grpo takes; corrections are context to a policy."""

from __future__ import annotations

import random
from typing import Any

import pytest

from katcore.errors import InputError, UsageError
from katcore.pack_trie.stream import items
from katcore.pool import Item
from katcore.records import Pack, Trajectory
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node


def tried(sample: int, reward: float, tokens: list[int], **fields: Any) -> Trajectory:
    return attempt([node(0, None, [1]), node(1, 0, tokens, bool(tokens))], sample, size=99, reward=reward, **fields)


def stream(objective: str, *records: Trajectory, **options: Any) -> list[Item]:
    return list(items(lines(*records), pack_options(objective=objective, **options)))


def taken(found: list[Item]) -> list[str]:
    return [s.trajectory_id for item in found if isinstance(item.payload, Pack) for s in item.payload.samples]


def away(found: list[Item]) -> dict[str, str]:
    return {i.key.partition(":")[2]: str(i.payload) for i in found if isinstance(i.payload, Exception)}


ATTEMPTS = [
    tried(0, 1.0, [2, 3, 4]),
    tried(1, 0.5, [9]),
    tried(2, 1.0, [5, 6]),
    tried(3, 2.0, [7, 8, 9, 10]),
    tried(4, 1.0, [5, 6]),
    tried(5, 1.0, [5, 7]),
    tried(6, 1.0, []),
]


def test_all_good_attempts_once() -> None:
    found = stream("rft", *ATTEMPTS)
    assert taken(found) == ["g0", "g2", "g3", "g5"]
    assert away(found) == {
        "g1": "reward: reward 0.5 is below 1",
        "g4": "duplicate: another attempt of its group sampled the same",
        "g6": "tokens: nothing in it was sampled",
    }
    (pack,) = [i.payload for i in found if isinstance(i.payload, Pack)]
    assert set(pack.ce_weight) == {1.0} and set(pack.rl_weight) == {0.0} and pack.objective == "rft"


@pytest.mark.parametrize(("top", "wanted"), [(1, ["g3"]), (2, ["g2", "g3"]), (3, ["g2", "g3", "g5"]), (9, None)])
def test_the_best_then_the_shortest_then_the_first(top: int, wanted: list[str] | None) -> None:
    found = stream("rft", *ATTEMPTS, top=top)
    assert taken(found) == (wanted or ["g0", "g2", "g3", "g5"])
    assert sum(reason.startswith("top: ") for reason in away(found).values()) == (4 - top if top < 4 else 0)
    shuffled = random.Random(top).sample(ATTEMPTS, len(ATTEMPTS))
    assert taken(stream("rft", *shuffled, top=top)) == taken(found)


def test_the_same_tokens_in_other_messages_or_behind_others() -> None:
    one = attempt([node(0, None, [1, 2]), node(1, 0, [3], True), node(2, 1, [4], True)], 0, size=9)
    same = attempt([node(0, None, [1]), node(1, 0, [2, 3, 4], [(1, 3)])], 1, size=9)
    other = attempt([node(0, None, [1, 9]), node(1, 0, [3, 4], True)], 2, size=9)
    assert taken(stream("rft", one, same, other)) == ["g0", "g2"]
    forked = attempt([node(0, None, [1, 2]), node(1, 0, [3], True), node(2, 0, [4], True)], 3, size=9)
    assert taken(stream("rft", one, forked)) == ["g0", "g3"], "a fork is not the path"


# ------------------------------------------------------------------------------------------------- gspo


def test_gspo_is_packed_like_grpo_with_turns_for_its_segments() -> None:
    def two(i: int) -> Trajectory:
        nodes = [
            node(0, None, [1]),
            node(1, 0, [2, 3, 9, 4], [(0, 2), (3, 4)], turn=7),  # one call, of which a token was forced on the model
            node(2, 1, [5]),
            node(3, 2, [6 + i, 7], True, turn=3),
            node(4, 1, [8], True, turn=3),
        ]
        return attempt(nodes, i, reward=float(i))

    (gspo,), (grpo,) = ([i.payload for i in stream(name, two(0), two(1))] for name in ("gspo", "grpo"))
    assert gspo.objective == "gspo"
    for name in ("tokens", "term_token", "term_sample", "term_turn", "rl_weight", "ce_weight", "engine_logprob"):
        assert getattr(gspo, name) == getattr(grpo, name), name
    assert (
        [s.advantage for s in gspo.samples] == [s.advantage for s in grpo.samples] == pytest.approx([-1, 1], abs=1e-5)
    )
    assert gspo.term_turn == [0, 0, 0, 1, 1, 2] * 2, "a turn is one completion, whatever the record numbers it"
    assert gspo.step_counts.turns == 6
    assert away(stream("gspo", two(0))) == {"g0": "group: its group has 1 unmasked samples, gspo needs 2"}


def test_gspo_refuses_what_has_no_log_probs_and_a_baseline_of_tokens() -> None:
    scripted = attempt([node(0, None, [1]), node(1, 0, [2], True, origin="scripted", engine_logprobs=None)])
    with pytest.raises(InputError, match="node 1 is scripted and has no log-probs of the policy"):
        stream("gspo", scripted)
    with pytest.raises(UsageError, match="gspo has one advantage a segment"):
        stream("gspo", scripted, baseline="trie")
    assert stream("sft", scripted, baseline="trie"), "an option of grpo's says nothing about sft"


# ------------------------------------------------------------------------------------------- corrections


@pytest.mark.parametrize("objective", ["grpo", "gspo", "opd"])
def test_a_step_that_a_reference_replaced_is_context_to_the_policy(objective: str) -> None:
    def corrected(i: int) -> Trajectory:
        reference = {"origin": "reference", "engine_logprobs": None}
        nodes = [
            node(0, None, [1]),
            node(1, 0, [2], True),
            node(2, 1, [3, 4], True, **reference),
            node(3, 2, [5], True),
            node(4, 3, [6], True, **reference),
        ]
        return attempt(nodes, i, reward=float(i))

    (pack,) = [i.payload for i in stream(objective, corrected(0), corrected(1))]
    assert [pack.tokens[i] for i in pack.term_token] == [2, 5] * 2 and pack.term_turn == [0, 1] * 2
    assert pack.tokens == [1, 2, 3, 4, 5] and pack.engine_logprob is not None
    (sft,) = [i.payload for i in stream("sft", corrected(1))]
    assert [sft.tokens[i] for i in sft.term_token] == [2, 3, 4, 5, 6], "it is the step to imitate"
