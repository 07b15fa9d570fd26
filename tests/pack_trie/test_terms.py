"""Term tables against brute force: one pass over every path, token by token."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.pack_trie.grpo import advantages
from katcore.pack_trie.stream import emit, items
from katcore.records import Node, Pack, ToolCall, Trajectory
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node, token_trees

Occurrence = tuple[str, tuple[int, ...], float]  # trajectory, tokens up to the trained one, engine log-prob


def packed(objective: str, *records: Trajectory, **options: object) -> list[Pack]:
    config = pack_options(objective=objective, **options)  # type: ignore[arg-type]
    return [p for item in items(lines(*records), config) if isinstance(item.payload, Pack) for p in emit(item)]


def prefix(pack: Pack, i: int) -> tuple[int, ...]:
    path: tuple[int, ...] = ()
    while i >= 0:
        path, i = (pack.tokens[i], *path), pack.parent[i]
    return path


def table(packs: list[Pack]) -> Counter[Occurrence]:
    """What the packs train: how often each occurrence stands in the term tables."""
    found: Counter[Occurrence] = Counter()
    for pack in packs:
        for token, sample, logprob in zip(pack.term_token, pack.term_sample, pack.engine_logprob or []):
            found[pack.samples[sample].trajectory_id, prefix(pack, token), logprob] += 1
    return found


def sampled_below(nodes: list[Node], k: int) -> int:
    """Leaves that path-by-path training would have below node k: completions under which there is no other one."""
    children = [n.id for n in nodes if n.parent == k]
    leaves = sum(sampled_below(nodes, c) for c in children)
    return leaves or int(bool(nodes[k].sampled))


def brute(trajectory: Trajectory, shared: str) -> Counter[Occurrence]:
    found: Counter[Occurrence] = Counter()
    whole: dict[int | None, tuple[int, ...]] = {None: ()}
    for n in trajectory.nodes:
        path = whole[n.parent]
        for i, token in enumerate(n.token_ids or []):
            path += (token,)
            if any(a <= i < b for a, b in n.sampled):
                times = 1 if shared == "sample" else sampled_below(trajectory.nodes, n.id)
                found[trajectory.id, path, -token / 8] += times
        whole[n.id] = path
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(token_trees(), min_size=1, max_size=4), st.sampled_from(["sample", "path"]), st.integers(1, 40))
def test_every_occurrence_is_there_as_often_as_the_convention_says(
    samples: list[list[Node]], shared: str, budget: int
) -> None:
    trajectories = [attempt(nodes, i, group=f"g{i % 2}", size=9) for i, nodes in enumerate(samples)]
    packs = packed("sft", *trajectories, shared_tokens=shared, budget=budget, groups_per_step=0)
    expected: Counter[Occurrence] = Counter()
    for trajectory in trajectories:
        expected += brute(trajectory, shared)
    assert table(packs) == expected
    for pack in packs:
        assert pack.step_counts.trained_tokens == sum(expected.values())
        assert pack.stats.unique == len(pack.tokens) == len(pack.parent) == len(pack.end)


@settings(max_examples=80, deadline=None)
@given(st.lists(token_trees(), min_size=1, max_size=3))
def test_path_counts_what_training_path_by_path_counts(samples: list[list[Node]]) -> None:
    """Cut every trajectory into its root-to-leaf paths, pack each as a trajectory of its own: the same weights."""
    trajectories = [attempt(nodes, i, size=99) for i, nodes in enumerate(samples)]
    linear = [path for t in trajectories for path in root_to_leaf(t)]
    got = packed("sft", *trajectories, shared_tokens="path")
    apart = packed("sft", *linear)
    weights: list[Counter[tuple[int, ...]]] = []
    for packs in (got, apart):
        total: Counter[tuple[int, ...]] = Counter()
        for pack in packs:
            for token, weight in zip(pack.term_token, pack.ce_weight):
                total[prefix(pack, token)] += weight  # type: ignore[assignment]
        weights.append(total)
    assert weights[0] == weights[1]
    assert [p.step_counts for p in got] == [p.step_counts for p in apart]
    assert [p.stats.flat for p in got] == [p.stats.flat for p in apart]
    unique = [sorted(prefix(pack, i) for pack in packs for i in range(len(pack.tokens))) for packs in (got, apart)]
    assert unique[0] == unique[1]  # siblings may stand in another order


def root_to_leaf(trajectory: Trajectory) -> list[Trajectory]:
    nodes = trajectory.nodes
    leaves = [n.id for n in nodes if n.sampled and sampled_below(nodes, n.id) == 1 and not any(
        sampled_below(nodes, c.id) for c in nodes if c.parent == n.id)]  # fmt: skip
    paths = []
    for number, leaf in enumerate(leaves):
        keep: set[int | None] = set()
        at: int | None = leaf
        while at is not None:
            keep.add(at)
            at = nodes[at].parent
        path = [n for n in nodes if n.id in keep]
        paths.append(attempt(path, trajectory.sample_index, size=99, id=f"{trajectory.id}-{number}", attempt=number))
    return paths


def test_a_fork_does_not_double_the_turns_before_it() -> None:
    nodes = [node(0, None, [1]), node(1, 0, [2], True), node(2, 1, [3], True), node(3, 1, [4], True)]
    (sample,) = packed("sft", attempt(nodes, size=1))
    assert [sample.tokens[i] for i in sample.term_token] == [2, 3, 4]
    assert sample.term_turn == [0, 1, 2] and sample.term_sample == [0, 0, 0]
    assert sample.step_counts.turns == 3 and sample.step_counts.samples == 1
    (path,) = packed("sft", attempt(nodes, size=1), shared_tokens="path")
    assert [path.tokens[i] for i in path.term_token] == [2, 3, 2, 4]
    assert path.term_turn == [0, 1, 0, 2] and path.term_sample == [0, 0, 1, 1]
    assert path.step_counts.turns == 4 and path.step_counts.samples == 2
    assert sample.stats.flat == path.stats.flat == 6 and sample.stats.unique == 4


def test_one_token_sampled_here_and_prompt_there_is_one_token_with_one_term() -> None:
    one = attempt([node(0, None, [1]), node(1, 0, [2, 3], True)], 0)
    other = attempt([node(0, None, [1, 2]), node(1, 0, [3, 4], True)], 1)
    (pack,) = packed("grpo", one, other)
    assert pack.tokens == [1, 2, 3, 4]
    assert list(zip(pack.term_sample, pack.term_token)) == [(0, 1), (0, 2), (1, 2), (1, 3)]


def test_one_token_drawn_twice_keeps_both_log_probs() -> None:
    draws = [
        attempt([node(0, None, [1]), node(1, 0, [2], True, engine_logprobs=[lp])], i)
        for i, lp in enumerate((-1.0, -2.0))
    ]
    (pack,) = packed("grpo", *draws)
    assert pack.term_token == [1, 1] and pack.engine_logprob == [-1.0, -2.0]


# -------------------------------------------------------------------------------------------- objectives


def turn_with_two_calls(outcomes: tuple[str | None, str | None], spans: bool = True) -> Trajectory:
    calls = [ToolCall(span=(1 + 2 * i, 3 + 2 * i) if spans else None, outcome=o) for i, o in enumerate(outcomes)]  # type: ignore[arg-type]
    nodes = [
        node(0, None, [1]),
        node(1, 0, [10, 11, 12, 13, 14, 15], [(0, 6)], tool_calls=calls),
        node(2, 1, [20]),
        node(3, 2, [30, 31], True),
    ]
    return attempt(nodes, size=1)


@pytest.mark.parametrize("outcome", ["invalid_arguments", "unknown_tool", "tool_error", "denied", "timeout"])
def test_em_sft_masks_the_failed_call_alone(outcome: str) -> None:
    (pack,) = packed("em-sft", turn_with_two_calls(("ok", outcome)))
    assert pack.ce_weight == [1, 1, 1, 0, 0, 1, 1, 1]
    assert pack.step_counts.trained_tokens == 8, "masked tokens keep their place in the denominator"
    (pack,) = packed("em-sft", turn_with_two_calls(("ok", outcome)), mask="turn")
    assert pack.ce_weight == [0, 0, 0, 0, 0, 0, 1, 1]
    (pack,) = packed("em-sft", turn_with_two_calls((None, outcome), spans=False))
    assert pack.ce_weight == [0, 0, 0, 0, 0, 0, 1, 1], "a call that cannot be placed masks its turn"


@pytest.mark.parametrize("mask", ["span", "turn"])
def test_em_sft_keeps_commands_that_ran(mask: str) -> None:
    (pack,) = packed("em-sft", turn_with_two_calls(("nonzero_exit", "ok")), mask=mask)
    assert pack.ce_weight == [1] * 8
    (plain,) = packed("sft", turn_with_two_calls(("timeout", "denied")))
    assert plain.ce_weight == [1] * 8


def test_em_sft_says_of_how_many_calls_nothing_is_known() -> None:
    """An `ok` that nobody stands behind is of an older record, which said so of all that it did not know."""
    record = turn_with_two_calls(("ok", None))
    sure = msgspec.structs.replace(record.nodes[1].tool_calls[0], outcome_by="rules")
    counts: Counter[str] = Counter()
    for calls in ([sure, sure], record.nodes[1].tool_calls):
        nodes = [msgspec.structs.replace(each, tool_calls=calls) if each.id == 1 else each for each in record.nodes]
        made = msgspec.structs.replace(record, nodes=nodes)
        list(items(lines(made), pack_options(objective="em-sft"), lambda name, number: counts.update({name: number})))
    assert (counts["tool_calls"], counts["outcomes_unknown"]) == (4, 2)


def test_em_sft_masks_sampled_tokens_when_the_node_begins_with_prompt() -> None:
    call = ToolCall(span=(3, 5), outcome="denied")
    nodes = [node(0, None, [1]), node(1, 0, [7, 8, 10, 11, 12, 13], [(2, 4), (4, 6)], tool_calls=[call])]
    (pack,) = packed("em-sft", attempt(nodes, size=1))
    assert [pack.tokens[i] for i in pack.term_token] == [10, 11, 12, 13]
    assert pack.ce_weight == [1, 0, 0, 1]


def test_weights_of_the_other_objectives() -> None:
    pair = [attempt([node(0, None, [1]), node(1, 0, [2 + i], True)], i, reward=float(i)) for i in range(2)]
    (grpo,) = packed("grpo", *pair)
    assert (grpo.rl_weight, grpo.ce_weight, grpo.kl_weight) == ([1, 1], [0, 0], [0, 0])
    assert [s.advantage for s in grpo.samples] == pytest.approx([-1, 1], abs=1e-5)
    (opd,) = packed("opd", *(attempt(t.nodes, t.sample_index, reward=None) for t in pair))
    assert (opd.rl_weight, opd.ce_weight, opd.kl_weight) == ([0, 0], [0, 0], [1, 1])
    assert [s.advantage for s in opd.samples] == [None, None] and [s.reward for s in opd.samples] == [None, None]
    (sft,) = packed("sft", *pair)
    assert sft.ce_weight == [1] and [s.trajectory_id for s in sft.samples] == ["g1"]


@given(st.lists(st.floats(-10, 10, allow_nan=False, width=32), min_size=2, max_size=9))
def test_advantages_are_standard_scores(rewards: list[float]) -> None:
    got, r = np.array(advantages(rewards)), np.array(rewards, np.float64)
    np.testing.assert_allclose(got * (r.std() + 1e-6), r - r.mean(), atol=1e-9)


def test_equal_rewards_have_advantage_zero_exactly() -> None:
    assert advantages([0.1] * 3) == [0.0] * 3  # their mean is not 0.1
