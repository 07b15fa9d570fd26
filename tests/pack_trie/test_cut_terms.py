"""What a cut tree trains: the same terms as the whole one, each in one pack, and the same denominators."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.errors import RecordError
from katcore.pack_trie.options import LayoutOptions
from katcore.pack_trie.packing import dealt, ratios
from katcore.pack_trie.pieces import _fewest
from katcore.pack_trie.stats import tabulate
from katcore.pack_trie.stream import items
from katcore.pack_trie.tree import TokenTree
from katcore.records import Node, Pack, Trajectory
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node, token_trees

Term = tuple[tuple[int, ...], str, int, int, float, float, float, float | None]


def packed(members: Sequence[Trajectory], **options: Any) -> tuple[list[Pack], Counter[str]]:
    counts: Counter[str] = Counter()
    stream = items(
        lines(*members), pack_options(**{"objective": "sft", **options}), lambda name, n: counts.update({name: n})
    )
    return [item.payload for item in stream if isinstance(item.payload, Pack)], counts


def text(pack: Pack, token: int) -> tuple[int, ...]:
    """The token and all before it on its path."""
    found = []
    while token >= 0:
        found.append(pack.tokens[token])
        token = pack.parent[token]
    return tuple(found[::-1])


def terms(packs: Sequence[Pack]) -> Counter[Term]:
    """Each term as path, trajectory, which of its samples, turn, weights, engine's log-prob."""
    found: Counter[Term] = Counter()
    for pack in packs:
        seen: Counter[str] = Counter()
        names = []
        for sample in pack.samples:
            names.append((sample.trajectory_id, seen[sample.trajectory_id]))
            seen[sample.trajectory_id] += 1
        for i, (token, sample) in enumerate(zip(pack.term_token, pack.term_sample)):
            lp = None if pack.engine_logprob is None else pack.engine_logprob[i]
            weights = (pack.rl_weight[i], pack.ce_weight[i], pack.kl_weight[i], lp)
            found[(text(pack, token), *names[sample], pack.term_turn[i], *weights)] += 1
    return found


def leaves(packs: Sequence[Pack]) -> Counter[tuple[int, ...]]:
    found: Counter[tuple[int, ...]] = Counter()
    for pack in packs:
        inner = set(pack.parent)
        found.update(text(pack, i) for i in range(len(pack.tokens)) if i not in inner)
    return found


def well_formed(pack: Pack) -> None:
    """Depths, ends and order as the record promises."""
    for i, parent in enumerate(pack.parent):
        assert parent < i and pack.depth[i] == (pack.depth[parent] + 1 if parent >= 0 else 0)
        below = [j for j in range(len(pack.parent)) if i in ancestors(pack, j)]
        assert below == list(range(i, pack.end[i]))


def ancestors(pack: Pack, token: int) -> set[int]:
    found = set()
    while token >= 0:
        found.add(token)
        token = pack.parent[token]
    return found


def readable(nodes: list[Node]) -> bool:
    try:
        return len(TokenTree.of(attempt(nodes)).sampled) > 0
    except RecordError:
        return False


@pytest.mark.parametrize("shared_tokens", ["sample", "path"])
@settings(max_examples=60, deadline=None)
@given(trees=st.lists(token_trees().filter(readable), min_size=1, max_size=4), room=st.integers(1, 12))
def test_the_terms_of_all_packs_are_those_of_the_tree(shared_tokens: str, trees: list[list[Node]], room: int) -> None:
    members = [attempt(nodes, i, size=len(trees)) for i, nodes in enumerate(trees)]
    (tree,), _ = packed(members, shared_tokens=shared_tokens)
    budget = max(tree.depth) + room
    packs, counts = packed(members, shared_tokens=shared_tokens, budget=budget, cut="repeat")
    assert terms(packs) == terms([tree])
    assert leaves(packs) == leaves([tree]), "each root-to-leaf path is in one pack"
    assert {str(p.step_counts) for p in packs} == {str(tree.step_counts)}
    assert all(p.samples == tree.samples for p in packs)
    assert sum(p.stats.flat for p in packs) == tree.stats.flat == counts["flat_tokens"]
    assert sum(p.stats.unique for p in packs) == len(tree.tokens) + counts["repeated_tokens"]
    for pack in packs:
        well_formed(pack)
        assert len(pack.tokens) <= budget and len(pack.term_token) > 0
        turns = {(s, t) for s, t in zip(pack.term_sample, pack.term_turn)}
        others = {(s, t) for p in packs if p is not pack for s, t in zip(p.term_sample, p.term_turn)}
        assert not turns & others, "a turn is never divided"
    found = tabulate(lines(*packs), LayoutOptions(budget=budget))
    of_tree = tabulate(lines(*members), LayoutOptions(budget=budget, cut="repeat"))
    for stats in (found, of_tree):
        assert (stats.total.unique, stats.repeated) == (len(tree.tokens), counts["repeated_tokens"])
    assert found.total.samples == len(tree.samples) and found.packs == of_tree.packs == len(packs)


def forked() -> Trajectory:
    """A trajectory with a long shared turn and two long branches: both repeat the turn, one trains it."""
    return attempt(
        [node(0, None, [1, 2]), node(1, 0, [3] * 4, True), node(2, 1, [4] * 6, True), node(3, 1, [5] * 8, True)], size=1
    )


def test_a_turn_that_two_packs_have_is_trained_in_one() -> None:
    packs, counts = packed([forked()], budget=14, cut="repeat")
    assert [len(p.tokens) for p in packs] == [12, 14] and counts["repeated_tokens"] == 6 and counts["trees_cut"] == 1
    assert [sorted(Counter(p.term_turn).items()) for p in packs] == [[(1, 6)], [(0, 4), (2, 8)]]
    assert packs[0].step_counts.trained_tokens == 18 and packs[0].step_counts.samples == 1
    assert [p.stats.flat for p in packs] == [12, 14]
    (whole,), counts = packed([forked()], budget=14)
    assert len(whole.tokens) == 20 and not counts["repeated_tokens"], "nothing is cut unless it is asked for"


def test_a_sample_with_one_path_stays_in_one_pack() -> None:
    """Sample 0 is a prefix of sample 1; its turn is in both packs, and trained beside what else it has."""
    turn = node(1, 0, [3, 4], True)
    members = [
        attempt([node(0, None, [1, 2]), turn, node(2, 1, [5] * 5, True)], 0, size=2),
        attempt([node(0, None, [1, 2]), turn, node(2, 1, [6] * 5, True)], 1, size=2),
    ]
    packs, _ = packed(members, budget=9, cut="repeat")
    assert [set(p.term_sample) for p in packs] == [{0}, {1}]
    assert all(Counter(p.term_turn) == {0: 2, 1: 5} for p in packs)


def test_turns_go_to_as_few_packs_as_possible() -> None:
    assert _fewest([3, 1, 1], [[0, 1, 2], [1], [2]]) == [1, 1, 2]
    assert _fewest([3, 1, 5], [[0, 1, 2], [1], [2]]) == [2, 1, 2]
    assert _fewest([1, 1], [[0, 1], [0, 1]]) == [0, 0]
    assert _fewest([2, 2, 2, 1], [[0], [1], [0, 1], [1]]) == [0, 1, 1, 1]


def test_a_path_above_the_budget_is_reported() -> None:
    packs, counts = packed([forked()], budget=13, cut="repeat")
    assert [len(p.tokens) for p in packs] == [12, 14] and counts["paths_over_budget"] == 1


def test_small_packs_of_a_cut_tree_share_rows_with_other_trees() -> None:
    other = attempt([node(0, None, [7]), node(1, 0, [8], True)], 0, group="h", size=1)
    packs, _ = packed([forked(), other], budget=14, cut="repeat")
    assert [len(p.tokens) for p in packs] == [14, 14]
    assert [[s.group_id for s in p.samples] for p in packs] == [["g", "h"], ["g"]]
    (whole,), _ = packed([forked(), other], budget=100)
    assert terms(packs) == terms([whole])


# --------------------------------------------------------------------------------------------------- ranks


def test_rows_are_dealt_to_the_rank_that_has_the_least() -> None:
    assert dealt([5, 4, 3, 3, 1], 2) == [8, 8]
    assert dealt([], 3) == [0, 0, 0]


def rollouts(groups: int, length: int) -> list[Trajectory]:
    rng = random.Random(4)
    return [
        attempt(
            [node(0, None, [g] * 30), node(1, 0, [rng.randrange(9) for _ in range(length if g else 4 * length)], True)],
            i, group=str(g), size=4,
        )
        for g in range(groups) for i in range(4)
    ]  # fmt: skip


def test_ranks_get_about_equal_work() -> None:
    members = rollouts(4, 100)
    plain, _ = packed(members, budget=5000, groups_per_step=0)
    assert len(plain) == 1, "one row: seven of eight ranks would wait"
    even, counts = packed(members, budget=5000, groups_per_step=0, ranks=2, cut="repeat")
    assert counts["rank_cost_max"] / counts["rank_cost_mean"] < 1.1
    assert [len(p.tokens) for p in even] == sorted((len(p.tokens) for p in even), reverse=True)
    assert terms(even) == terms(plain)
    work = dealt([float(len(p.tokens)) for p in even], 2)
    assert max(work) / (sum(work) / 2) < 1.1
    uncut, counts = packed(members, budget=5000, groups_per_step=0, ranks=2)
    assert counts["trees_cut"] == counts["repeated_tokens"] == 0 and terms(uncut) == terms(plain)
    assert counts["rank_cost_max"] / counts["rank_cost_mean"] > 1.1, "the largest tree is more than a rank's share"


def test_a_tree_is_cut_for_ranks_only_where_the_slowest_gains() -> None:
    """Two equal trees on two ranks: nothing to gain. One on two: half of it, the prompt twice."""
    two, counts = packed(rollouts(3, 100)[4:], budget=5000, groups_per_step=0, ranks=2, cut="repeat")
    assert len(two) == 2 and counts["trees_cut"] == 0
    one, counts = packed(rollouts(2, 100)[4:], budget=5000, groups_per_step=0, ranks=2, cut="repeat")
    assert len(one) == 2 and counts["repeated_tokens"] == pytest.approx(30, abs=1)


def test_ratios_of_the_summary() -> None:
    _, counts = packed([forked()], budget=14, cut="repeat")
    assert ratios(counts) == {"por": round(1 - 20 / 26, 4), "err": 0.0}
    assert ratios({}) == {}
