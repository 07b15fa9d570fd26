"""Packs become steps: denominators are the step's, gaps and nonsense are bad input."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from katcore.errors import InputError
from katcore.records import Pack, StepCounts
from katcore.train.batch import counted, steps
from tests.support.random_packs import make_pack


def changed(pack: Pack, **fields: Any) -> Pack:
    return msgspec.structs.replace(pack, **fields)


def step_of(*seeds: int, step: int = 0) -> list[Pack]:
    packs = [make_pack(seed)[0] for seed in seeds]
    names = StepCounts.__struct_fields__
    counts = StepCounts(**{name: sum(getattr(p.step_counts, name) for p in packs) for name in names})
    return [changed(p, step=step, step_counts=counts) for p in packs]


def test_steps_are_runs_of_one_step_number() -> None:
    made = list(steps(step_of(1, 2) + step_of(3, step=1), "token-mean"))
    assert [[row.id for row in step.rows] for step in made] == [["pack1", "pack2"], ["pack3"]]
    assert made[0].counts.trained_tokens == sum(len(row.scale) for row in made[0].rows)


def test_files_that_both_count_from_step_0_stay_apart() -> None:
    same = step_of(1)
    assert [len(step.rows) for step in steps(same + same, "token-mean")] == [1, 1]


@pytest.mark.parametrize("packs", [step_of(1, 2)[:1], step_of(1, 2)[:1] + step_of(3, step=1)])
def test_a_step_that_lacks_packs_is_bad_input(packs: list[Pack]) -> None:
    with pytest.raises(InputError, match="trained tokens"):
        list(steps(packs, "token-mean"))


def test_batches_of_packs_count_for_themselves() -> None:
    packs = step_of(1, 2, 3)
    made = list(steps(packs, "token-mean", batch_packs=2))
    assert [len(step.rows) for step in made] == [2, 1]
    assert sum(step.counts.trained_tokens for step in made) == packs[0].step_counts.trained_tokens
    assert counted(next(steps(packs, "token-mean")).rows) == changed_groups(packs[0].step_counts)


def changed_groups(counts: StepCounts) -> StepCounts:
    return msgspec.structs.replace(counts, groups=0)  # groups are no denominator


def test_reducers_weigh_samples_turns_and_tokens() -> None:
    packs = step_of(1, 2)
    counts = packs[0].step_counts
    for reducer, total in (("token-mean", 1.0), ("seq-mean-token-mean", 1.0), ("turn-mean", 1.0)):
        made = next(steps(packs, reducer))
        assert sum(float(row.scale.sum()) for row in made.rows) == pytest.approx(total)
    means = next(steps(packs, "seq-mean-token-mean")).rows[0]
    assert float(means.scale[means.term_sample == 0].sum()) == pytest.approx(1 / counts.samples)
    turns = next(steps(packs, "turn-mean")).rows[0]
    first = (turns.term_sample == 0) & (turns.term_turn == 0)
    of_sample = len(set(turns.term_turn[turns.term_sample == 0].tolist()))
    assert float(turns.scale[first].sum()) == pytest.approx(1 / counts.samples / of_sample)
    assert float(next(steps(packs, "constant", 64)).rows[0].scale[0]) == pytest.approx(1 / counts.samples / 64)


def test_masked_samples_and_samples_without_an_advantage_have_no_weight() -> None:
    pack, _ = make_pack(4)
    samples = list(pack.samples)
    samples[0] = msgspec.structs.replace(samples[0], masked=True)
    samples[1] = msgspec.structs.replace(samples[1], advantage=None)
    row = next(steps([changed(pack, samples=samples)], "token-mean")).rows[0]
    for sample, streams in ((0, (row.rl_weight, row.ce_weight, row.kl_weight)), (1, (row.rl_weight,))):
        assert all(not stream[row.term_sample == sample].any() for stream in streams)
    assert row.kl_weight[row.term_sample == 1].all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": [0] * 99}, "one length"),
        ({"end": "flat"}, "depth-first order"),
        ({"parent": "shifted"}, "depth"),
        ({"term_token": "root"}, "root token"),
        ({"term_sample": "far"}, "outside the pack"),
        ({"engine_logprob": [0.0]}, "term table"),
        ({"teacher_logprob": [[0.0]]}, "unique token"),
    ],
)
def test_arrays_that_contradict_each_other_are_bad_input(fields: dict[str, Any], message: str) -> None:
    pack, _ = make_pack(4)
    size, terms = len(pack.tokens), len(pack.term_token)
    values = {
        "flat": [size] * size,
        "shifted": [-1, -1, *pack.parent[2:]],
        "root": [0] * terms,
        "far": [99] * terms,
    }
    broken = changed(pack, **{name: values.get(x, x) if isinstance(x, str) else x for name, x in fields.items()})
    with pytest.raises(InputError, match=message):
        list(steps([broken], "token-mean"))
