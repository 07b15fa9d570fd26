"""Cuts against all divisions of small trees, the bound, and what holds for trees of any size."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from katcore.pack_trie import cut as cut_module
from katcore.pack_trie.cut import Cut, cut, whole
from katcore.pack_trie.cut_deepest import by_length, deepest_first
from katcore.pack_trie.cut_exact import consecutive, lower_bound, partition
from katcore.pack_trie.cut_greedy import improve, insertion, together
from katcore.pack_trie.leaves import EQUAL_DEPTH, Leaves, total
from katcore.pack_trie.trie import Trie
from tests.support.cuts import fewest, leaf_tokens, leaves_of, path, random_trie, trie_of


def budgets(rng: random.Random, leaves: Leaves) -> int:
    longest, tokens = int(leaves.length.max()), leaves.tokens
    return rng.choice(
        [longest, int(1.1 * longest), rng.randint(longest, max(longest, tokens)), max(longest, tokens // 2)]
    )


def check(trie: Trie, leaves: Leaves, found: Cut, budget: int) -> None:
    """Every leaf once; sizes are those of the paths' tokens; above the budget are single paths only."""
    paths = [path(trie, leaf) for leaf in leaf_tokens(trie)]
    assert sorted(np.concatenate(found.packs).tolist()) == list(range(len(leaves)))
    assert found.sizes == [len({i for k in pack.tolist() for i in paths[k]}) for pack in found.packs]
    assert all(size <= budget or len(pack) == 1 for size, pack in zip(found.sizes, found.packs))
    assert found.repeated == sum(found.sizes) - len(trie) and found.bound <= sum(found.sizes)
    assert [int(pack[0]) for pack in found.packs] == sorted(int(pack[0]) for pack in found.packs)


def test_leaves_are_read_off_the_trie() -> None:
    rng = random.Random(0)
    for n in range(1, 40):
        trie = random_trie(rng, n)
        got, expected = Leaves.of(trie), leaves_of(trie)
        assert got.length.tolist() == expected.length.tolist() and got.shared.tolist() == expected.shared.tolist()
        assert got.tokens == len(trie)
        assert got.cost == pytest.approx(len(trie) + float((trie.depth + 1.0).sum()) / EQUAL_DEPTH)


def test_a_forest_has_paths_that_share_nothing() -> None:
    trie = trie_of([[1, 2, 3], [1, 2, 4], [5, 6]])
    leaves = Leaves.of(trie)
    assert (leaves.length.tolist(), leaves.shared.tolist()) == ([3, 3, 2], [0, 2, 0])
    assert [pack.tolist() for pack in cut(leaves, 4).packs] == [[0, 1], [2]]


@pytest.mark.parametrize("seed", range(40))
def test_small_trees_are_cut_as_well_as_by_trying_all_divisions(seed: int) -> None:
    rng = random.Random(seed)
    trie = random_trie(rng, rng.randint(1, 7))
    leaves = Leaves.of(trie)
    for budget in {budgets(rng, leaves), budgets(rng, leaves), int(leaves.length.max()) - rng.randint(1, 3)}:
        found = cut(leaves, budget)
        check(trie, leaves, found, budget)
        best = fewest(trie, budget)
        assert sum(found.sizes) == best and found.exact
        if budget >= leaves.length.max():
            assert lower_bound(leaves, budget) <= best
            assert total(leaves, partition(leaves, budget)) == best <= total(leaves, consecutive(leaves, budget))


@pytest.mark.parametrize("seed", range(12))
def test_repairs_come_near_the_best_where_it_is_known(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way for large trees, forced upon small ones."""
    rng = random.Random(100 + seed)
    trie = random_trie(rng, rng.randint(8, 12), chain=30)
    leaves = Leaves.of(trie)
    budget = budgets(rng, leaves)
    best = total(leaves, partition(leaves, budget))
    monkeypatch.setattr(cut_module, "MOST_LEAVES", 0)
    found = cut(leaves, budget)
    check(trie, leaves, found, budget)
    assert best <= sum(found.sizes) <= 1.01 * best


def test_runs_of_leaves_are_the_best_runs() -> None:
    rng = random.Random(3)
    for _ in range(30):
        leaves = Leaves.of(random_trie(rng, rng.randint(2, 9)))
        budget = budgets(rng, leaves)
        n, best = len(leaves), 10**9
        for borders in range(1 << (n - 1)):
            cuts = [0, *(k + 1 for k in range(n - 1) if borders >> k & 1), n]
            runs = [np.arange(a, b) for a, b in pairwise(cuts)]
            if all(leaves.tokens_of(run) <= budget for run in runs):
                best = min(best, total(leaves, runs))
        assert total(leaves, consecutive(leaves, budget)) == best


def test_leaves_of_one_pack_need_not_be_neighbours() -> None:
    """A star whose rays fit only in pairs of one long and one short: 6 + 4 twice, where runs need three packs."""
    trie = trie_of([[0, *range(100, 106)], [0, *range(200, 206)], [0, *range(300, 304)], [0, *range(400, 404)]])
    leaves = Leaves.of(trie)
    assert total(leaves, consecutive(leaves, 11)) == 23
    found = cut(leaves, 11)
    assert sum(found.sizes) == 22 and found.repeated == 1 and found.exact
    assert [len(pack) for pack in found.packs] == [2, 2]


def test_a_tree_within_the_budget_is_whole() -> None:
    leaves = Leaves.of(random_trie(random.Random(1), 9))
    for found in (cut(leaves, leaves.tokens), whole(leaves)):
        assert len(found.packs) == 1 and found.repeated == 0 and found.exact
    assert len(cut(leaves, leaves.tokens - 1).packs) > 1


def test_a_path_above_the_budget_is_alone_and_counted() -> None:
    trie = trie_of([[1, 2, 3], [1, 2, 4, 5, 6, 7], [1, 2, 8], [1, 2]])
    found = cut(Leaves.of(trie), 5)
    assert [pack.tolist() for pack in found.packs] == [[0, 2], [1]]
    assert (found.too_long, found.sizes, found.repeated) == (1, [4, 6], 2)


@pytest.mark.parametrize("seed", range(4))
def test_trees_of_many_leaves(seed: int) -> None:
    rng = random.Random(seed)
    trie = random_trie(rng, rng.randint(20, 60), chain=40)
    leaves = Leaves.of(trie)
    budget = budgets(rng, leaves)
    found = cut(leaves, budget)
    check(trie, leaves, found, budget)
    assert sum(found.sizes) <= total(leaves, consecutive(leaves, budget))
    assert sum(found.sizes) <= total(leaves, insertion(leaves, budget, nearest=True))
    assert sum(found.sizes) <= 1.1 * found.bound
    sizes = sorted(found.sizes)
    assert len(sizes) == 1 or sizes[0] + sizes[1] > budget, "no two packs go into one row"


def test_repairs_never_make_a_cut_worse() -> None:
    rng = random.Random(9)
    for _ in range(5):
        leaves = Leaves.of(random_trie(rng, 40, chain=20))
        budget = budgets(rng, leaves)
        start = insertion(leaves, budget, nearest=False)
        end = improve(leaves, start, budget, 0, 20)
        assert sorted(np.concatenate(end).tolist()) == list(range(40))
        again = improve(leaves, start, budget, 0, 20)
        assert [pack.tolist() for pack in again] == [pack.tolist() for pack in end]
        assert total(leaves, end) <= total(leaves, start) and max(map(leaves.tokens_of, end)) <= budget


def test_what_has_room_together_is_put_together() -> None:
    leaves = Leaves.of(trie_of([[0, 1], [0, 2], [0, 3], [0, 4]]))
    merged = together(leaves, [np.array([k]) for k in range(4)], 3)
    assert sorted(map(leaves.tokens_of, merged)) == [3, 3]


def test_ten_thousand_leaves_are_cut_near_the_bound() -> None:
    rng = np.random.default_rng(0)
    length, shared = np.zeros(10_000, np.int64), np.zeros(10_000, np.int64)
    for k in range(10_000):
        shared[k] = rng.integers(0, length[k - 1]) if k else 0
        length[k] = shared[k] + rng.integers(1, 100)
    leaves = Leaves(length, shared)
    found = cut(leaves, 4 * int(length.max()))
    assert sum(found.sizes) <= 1.02 * found.bound and len(found.packs) > 100


def deepest_rule(trie: Trie, budget: int) -> list[int]:
    """Tokens of the paper's rule in its two readings, a pack as the set of its tokens."""
    paths = [path(trie, leaf) for leaf in leaf_tokens(trie)]
    deepest = {i: max(len(p) for p in paths if i in p) for p in paths for i in p}
    computed = []
    for order in (sorted(paths, key=lambda p: [(-deepest[i], i) for i in p]), sorted(paths, key=lambda p: -len(p))):
        packs: list[set[int]] = [set()]
        for each in order:
            if len(packs[-1] | set(each)) > budget:
                packs.append(set())
            packs[-1] |= set(each)
        computed.append(sum(map(len, packs)))
    return computed


@pytest.mark.parametrize("seed", range(20))
def test_no_cut_repeats_more_than_with_the_deepest_leaves_first(seed: int) -> None:
    rng = random.Random(200 + seed)
    trie = random_trie(rng, rng.randint(13, 40), chain=30)
    leaves = Leaves.of(trie)
    budget = budgets(rng, leaves)
    depth_first, longest_first = deepest_rule(trie, budget)
    assert total(leaves, by_length(leaves, budget)) == longest_first
    runs = deepest_first(leaves, budget)
    assert sorted(np.concatenate(runs).tolist()) == list(range(len(leaves)))
    assert max(map(leaves.tokens_of, runs)) <= budget and total(leaves, runs) <= depth_first
    assert sum(cut(leaves, budget, repairs=0).sizes) <= min(depth_first, longest_first)
