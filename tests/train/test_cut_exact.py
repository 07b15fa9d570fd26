"""A tree that is cut into packs trains as the whole one: every parameter's gradient, for every reducer, in fp64."""

from __future__ import annotations

import random
from typing import Any

import pytest
from torch import Tensor

from katcore.model.tree_lm import TreeLM
from katcore.pack_trie.stream import items
from katcore.records import Node, Pack, Scaffold, Trajectory, Verdict, encode
from katcore.streams import Line
from katcore.train.batch import steps
from katcore.train.objective import TrainObjective
from katcore.train.options import ObjectiveOptions, Optimizer
from katcore.train.trainer import Trainer
from tests.support.options import pack_options
from tests.support.random_packs import VOCAB, tiny_model

TOLERANCE = 1e-10
REDUCERS = ("token-mean", "seq-mean-token-mean", "turn-mean", "constant")


pytestmark = pytest.mark.usefixtures("model_in_fp64")


def trajectories(seed: int, samples: int = 4) -> list[Trajectory]:
    """Samples of one task, each a tree of turns that forks; the first messages are the same ones."""
    rng = random.Random(seed)
    prompt = [rng.randrange(VOCAB) for _ in range(4)]
    first = [rng.randrange(VOCAB) for _ in range(3)]
    made = []
    for s in range(samples):
        nodes = [
            Node(id=0, parent=None, role="user", token_ids=prompt),
            _turn(1, 0, first if s % 2 else [*first[:2], s]),
        ]
        for k in range(2, 9):
            delta = [rng.randrange(VOCAB) for _ in range(rng.randint(1, 5))]
            above = rng.choice([k - 1, rng.randrange(1, k)])
            nodes.append(_turn(k, above, delta) if k % 3 else Node(id=k, parent=above, role="tool", token_ids=delta))
        made.append(
            Trajectory(
                id=f"t{s}", task_id="t", group_id="g", group_size=samples, sample_index=s, scaffold=Scaffold(name="x"),
                model="m", nodes=nodes, verdict=Verdict(reward=float(s % 3)),
            )
        )  # fmt: skip
    return made


def _turn(id: int, parent: int, tokens: list[int]) -> Node:
    return Node(
        id=id, parent=parent, role="assistant", token_ids=tokens, sampled=[(0, len(tokens))],
        engine_logprobs=[-t / 16 for t in tokens],
    )  # fmt: skip


def packed(members: list[Trajectory], **options: Any) -> list[Pack]:
    stream = [Line(t, encode(t), n, "in.jsonl") for n, t in enumerate(members, 1)]
    return [i.payload for i in items(stream, pack_options(**options)) if isinstance(i.payload, Pack)]


def gradient(packs: list[Pack], reducer: str) -> dict[str, Tensor]:
    model = tiny_model(4)
    trainer = Trainer(TreeLM(model), None, TrainObjective("grpo", ObjectiveOptions(reducer=reducer)), Optimizer())
    (step,) = steps(packs, reducer, 64)
    trainer.gradients(step)
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def worst(got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest error over all parameters, relative to the parameter's largest gradient."""
    return max(float((got[n] - e).abs().max() / e.abs().max()) for n, e in expected.items())


@pytest.mark.parametrize("shared_tokens", ["sample", "path"])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradients_of_the_packs_sum_to_the_trees(seed: int, shared_tokens: str) -> None:
    members = trajectories(seed)
    (tree,) = packed(members, objective="grpo", shared_tokens=shared_tokens)
    expected = {reducer: gradient([tree], reducer) for reducer in REDUCERS}
    for budget in (max(tree.depth) + 1, len(tree.tokens) // 2):
        cut = packed(members, objective="grpo", shared_tokens=shared_tokens, budget=budget, cut="repeat")
        assert len(cut) > 1 and sum(len(p.tokens) for p in cut) > len(tree.tokens)
        for reducer in REDUCERS:
            assert worst(gradient(cut, reducer), expected[reducer]) <= TOLERANCE
    assert worst(expected["turn-mean"], expected["token-mean"]) > 1e-3, "the reducers do differ"


def test_for_ranks_too() -> None:
    members = trajectories(7)
    (tree,) = packed(members, objective="grpo")
    cut = packed(members, objective="grpo", cut="repeat", ranks=3)
    assert len(cut) >= 3
    assert worst(gradient(cut, "turn-mean"), gradient([tree], "turn-mean")) <= TOLERANCE


def test_training_a_shared_turn_in_both_packs_would_show() -> None:
    """The same packs with one of the shared turns trained twice: not within the tolerance."""
    import msgspec

    members = trajectories(0)
    budget = max(packed(members, objective="grpo")[0].depth) + 1
    cut = packed(members, objective="grpo", budget=budget, cut="repeat")
    expected = gradient(cut, "constant")
    again = cut[0]
    columns = ("term_token", "term_sample", "term_turn", "rl_weight", "ce_weight", "kl_weight", "engine_logprob")
    doubled = {name: getattr(again, name) + getattr(again, name)[:1] for name in columns}
    counts = msgspec.structs.replace(again.step_counts, trained_tokens=again.step_counts.trained_tokens + 1)
    wrong = [msgspec.structs.replace(again, **doubled), *cut[1:]]
    wrong = [msgspec.structs.replace(p, step_counts=counts) for p in wrong]
    assert worst(gradient(wrong, "constant"), expected) > 1e-3
