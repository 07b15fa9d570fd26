"""What a token sees when a tree is run in parts: its ancestors, all of them, and nothing else. All in fp64."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from katcore.model.partition import Part, partition
from katcore.model.tree import Forest
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import WalkPlan, walk
from katcore.train.mcla import shuffled_siblings
from tests.support.random_packs import VOCAB, make_pack, tiny_model, varied

pytestmark = pytest.mark.usefixtures("model_in_fp64")

BUDGETS = (0, 1, 2, 0.1, 0.25, 0.5, -1)
"""Tokens of a part: all of them, so many, a share of the tree, or one less than the longest path."""
SEEDS = [seed for seed in range(60) if varied(make_pack(seed, samples=6)[0])][:14]
CASES = list(zip(SEEDS, 2 * BUDGETS))


def forest(seed: int) -> Forest:
    return Forest.of(make_pack(seed, samples=6)[0])


def parts_of(tree: Forest, budget: float) -> list[Part]:
    tokens = int(tree.depth.max()) if budget < 0 else round(budget * len(tree)) if budget < 1 else int(budget)
    return partition(tree, tokens)


def run(lm: TreeLM, tree: Forest, budget: float, weight: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probs of all tokens but the roots [N], NaN there; gradients of their sum with `weight` [N]."""
    index = (tree.parent >= 0).nonzero()[:, 0]
    found = torch.full((len(tree),), torch.nan, dtype=torch.float64)

    def visit(which: Tensor, logprob: Tensor, entropy: Tensor) -> Tensor:
        found[index[which]] = logprob.detach()
        return logprob @ weight[index[which]]

    lm.model.zero_grad()
    lm.model.train()
    walk(lm, WalkPlan.of(tree, parts_of(tree, budget), index), visit)
    return found, {name: p.grad.clone() for name, p in lm.model.named_parameters()}


def changed(tree: Forest, rng: random.Random, tokens: range) -> Forest:
    """Other ids at some places."""
    ids = tree.tokens.clone()
    for t in tokens:
        ids[t] = (int(ids[t]) + rng.randrange(1, VOCAB)) % VOCAB
    return Forest(ids, tree.parent, tree.depth, tree.end)


def subtree(tree: Forest, token: int) -> range:
    return range(token, int(tree.end[token]))


def below(tree: Forest, token: int) -> Tensor:
    """[N] whether a token's log-prob depends on this one: the token itself and what hangs below it."""
    index = torch.arange(len(tree))
    return (index >= token) & (index < tree.end[token])


def outside(tree: Forest, token: int, rng: random.Random) -> Tensor:
    """[N] random weights, 0 in the subtree."""
    weight = torch.tensor([rng.uniform(-1, 1) for _ in range(len(tree))], dtype=torch.float64)
    return torch.where(below(tree, token), 0.0, weight)


def branches(tree: Forest) -> list[int]:
    """First tokens of branches at forks."""
    children = torch.bincount(tree.parent.clamp(min=0)[tree.parent >= 0], minlength=len(tree))
    return [t for t, p in enumerate(tree.parent.tolist()) if p >= 0 and children[p] > 1]


def worst(got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest error over all parameters, relative to the parameter's largest gradient."""
    return max(float((got[n] - e).abs().max() / e.abs().max()) for n, e in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "budget"), CASES)
def test_a_branch_changes_nothing_outside_of_it(seed: int, budget: float) -> None:
    """Neither log-probs nor gradients of what its siblings and ancestors are trained on."""
    tree, rng, lm = forest(seed), random.Random(seed), TreeLM(tiny_model(seed))
    branch = rng.choice(branches(tree))
    weight = outside(tree, branch, rng)
    logprob, gradient = run(lm, tree, budget, weight)
    other, its = run(lm, changed(tree, rng, subtree(tree, branch)), budget, weight)
    untouched = ~below(tree, branch)
    assert float((logprob - other)[untouched].nan_to_num().abs().max()) <= 1e-12
    assert bool((logprob != other)[~untouched].all()), "the branch itself did change"
    assert worst(its, gradient) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "budget"), CASES)
def test_an_ancestor_changes_all_below_it_and_nothing_else(seed: int, budget: float) -> None:
    tree, rng, lm = forest(seed), random.Random(seed), TreeLM(tiny_model(seed))
    inner = [t for t in range(len(tree)) if int(tree.end[t]) > t + 1]
    ancestor = rng.choice(inner)
    weight = torch.ones(len(tree), dtype=torch.float64)
    logprob, _ = run(lm, tree, budget, weight)
    other, _ = run(lm, changed(tree, rng, range(ancestor, ancestor + 1)), budget, weight)
    moved = (logprob - other).abs()
    touched = below(tree, ancestor) & (tree.parent >= 0)
    assert float(moved[touched].min()) > 1e-9
    assert float(moved[~touched].nan_to_num().max()) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "budget"), CASES)
def test_the_order_of_siblings_is_irrelevant(seed: int, budget: float) -> None:
    tree, rng, lm = forest(seed), random.Random(seed), TreeLM(tiny_model(seed))
    weight = torch.tensor([rng.uniform(-1, 1) for _ in range(len(tree))], dtype=torch.float64)
    logprob, gradient = run(lm, tree, budget, weight)
    other, place = shuffled_siblings(tree, seed)
    assert not torch.equal(other.tokens, tree.tokens)
    moved = torch.empty_like(weight)
    moved[place] = weight
    got, its = run(lm, other, budget, moved)
    loss, same = ((x * w).nansum() for x, w in ((logprob, weight), (got, moved)))
    assert abs(float(loss - same)) <= 1e-10 * abs(float(loss))
    assert float((got[place] - logprob).nan_to_num().abs().max()) <= 1e-10
    assert worst(its, gradient) <= 1e-10


def test_the_branches_do_lie_in_other_parts_than_their_forks() -> None:
    apart = together = 0
    for seed, budget in CASES:
        tree, rng = forest(seed), random.Random(seed)
        branch = rng.choice(branches(tree))
        owner = {t: n for n, p in enumerate(parts_of(tree, budget)) for t in p.own.tolist()}
        apart += owner[branch] != owner[int(tree.parent[branch])]
        together += owner[branch] == owner[int(tree.parent[branch])]
    assert apart >= 4 and together >= 4, (apart, together)
