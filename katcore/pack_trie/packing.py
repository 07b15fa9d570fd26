"""Rows of trees, and the packs made of them.

A tree goes into the first row that has room for it, in the order of arrival; one above the budget gets a row of its
own, or with `--cut repeat` is cut first. Several trees in a row are a forest: `end` already keeps them apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from katcore.pack_trie.cut import REPAIRS, Cut, cut, whole
from katcore.pack_trie.group import GroupTree
from katcore.pack_trie.leaves import Leaves
from katcore.pack_trie.options import LayoutOptions, PackOptions
from katcore.pack_trie.pieces import pieces
from katcore.pack_trie.terms import joined
from katcore.records import Pack, PackStats, StepCounts, content_id

Count = Callable[[str, int], None]

SHARES = (2.0, 1.5, 1.25, 1.1, 1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1)
"""Factors of a rank's share of the tokens that are tried as the size of a row."""


def nobody(name: str, n: int) -> None:
    """The `count` of a caller who wants no counts."""


def first_fit(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Rows of indices into `sizes` whose sizes sum to at most `budget`; a larger one is alone in its row."""
    rows: list[list[int]] = []
    room = np.zeros(len(sizes), np.int64)
    for i, size in enumerate(sizes):
        row = int(np.argmax(room[: len(rows)] >= size)) if rows else 0
        if row >= len(rows) or room[row] < size:
            row = len(rows)
            rows.append([])
            room[row] = max(budget, 0)
        rows[row].append(i)
        room[row] -= size
    return rows


def por(unique: int, flat: int) -> float:
    """Potential overlap ratio: the share of the flat tokens that need not be computed."""
    return 1 - unique / flat if flat else 0.0


@dataclass(frozen=True)
class Layout:
    """How trees lie in rows: each row is a list of (number of a tree, number of a pack of that tree)."""

    cuts: list[Cut]
    rows: list[list[tuple[int, int]]]
    ranks: list[float]  # work of each rank when a row goes to the one that has the least, in the order of the rows

    @property
    def repeated(self) -> int:
        """Number of tokens that are computed although another row has them."""
        return sum(cut.repeated for cut in self.cuts)

    @property
    def slowest(self) -> float:
        """Work of the rank that has the most, in tokens as `Leaves.cost` counts them."""
        return max(self.ranks)


def layout(trees: Sequence[Leaves], options: LayoutOptions) -> Layout:
    """Rows of at most the budget; for several ranks of less, where the slowest one is done at least 1 % earlier."""
    best = _layout(trees, options.budget, options, REPAIRS)
    if options.ranks > 1:
        share = sum(leaves.tokens for leaves in trees) / options.ranks
        sizes = [size for part in SHARES if 0 < (size := int(share * part)) < options.budget]
        tried = [(_layout(trees, size, options, repairs=0).slowest, size) for size in sizes]
        if tried and min(tried)[0] < 0.99 * best.slowest:
            best = min(best, _layout(trees, min(tried)[1], options, REPAIRS), key=lambda found: found.slowest)
    return best


def _layout(trees: Sequence[Leaves], budget: int, options: LayoutOptions, repairs: int) -> Layout:
    cuts = [cut(leaves, budget, repairs) if options.cut == "repeat" else whole(leaves) for leaves in trees]
    places = [(t, p) for t, found in enumerate(cuts) for p in range(len(found.packs))]
    rows = [[places[i] for i in row] for row in first_fit([cuts[t].sizes[p] for t, p in places], budget)]
    if options.ranks == 1:
        return Layout(cuts, rows, [])
    costs = [sum(cuts[t].costs[p] for t, p in row) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: -costs[row])
    return Layout(cuts, [rows[i] for i in order], dealt([costs[i] for i in order], options.ranks))


def dealt(costs: Sequence[float], ranks: int) -> list[float]:
    """Work of each rank when each row goes to the rank that has the least so far: at most 4/3 of the best for the
    slowest one if the largest come first (Graham 1969)."""
    work = [0.0] * ranks
    for cost in costs:
        work[work.index(min(work))] += cost
    return work


def packs(
    trees: Sequence[GroupTree], step: int, tokenizer: str, settings: PackOptions, count: Count = nobody
) -> Iterator[Pack]:
    """The packs of one step, each with the whole step's denominators.

    With a cut or several ranks `count` is told of flat_tokens, unique_tokens, repeated_tokens, trees_cut,
    paths_over_budget, and of the work of ranks in tokens: rank_cost_max, rank_cost_mean.
    """
    names = StepCounts.__struct_fields__
    counts = StepCounts(**{name: sum(getattr(tree.counts, name) for tree in trees) for name in names})
    found = layout([Leaves.of(tree.trie) for tree in trees], settings.layout)
    if settings.layout.cut != "none" or settings.layout.ranks > 1:
        _report(trees, found, count)
    parts = [pieces(tree, cut) for tree, cut in zip(trees, found.cuts)]
    for row in found.rows:
        yield _pack([parts[t][p] for t, p in row], step, counts, tokenizer, settings.objective)


def _report(trees: Sequence[GroupTree], found: Layout, count: Count) -> None:
    count("flat_tokens", sum(tree.flat for tree in trees))
    count("unique_tokens", sum(len(tree.trie) for tree in trees))
    count("repeated_tokens", found.repeated)
    count("trees_cut", sum(len(cut.packs) > 1 for cut in found.cuts))
    count("paths_over_budget", sum(cut.too_long for cut in found.cuts))
    if found.ranks:
        count("rank_cost_max", round(found.slowest))
        count("rank_cost_mean", round(sum(found.ranks) / len(found.ranks)))


def ratios(counts: Mapping[str, float]) -> dict[str, float]:
    """What the counts of `packs` say in ratios: POR, ERR (what of it is left after the cut), slowest rank over mean."""
    flat, unique = int(counts.get("flat_tokens", 0)), int(counts.get("unique_tokens", 0))
    found: dict[str, float] = {}
    if flat:
        computed = unique + int(counts.get("repeated_tokens", 0))
        found |= {"por": round(por(unique, flat), 4), "err": round(por(computed, flat), 4)}
    if counts.get("rank_cost_mean"):
        found["rank_cost_max_over_mean"] = round(counts["rank_cost_max"] / counts["rank_cost_mean"], 3)
    return found


def _pack(trees: Sequence[GroupTree], step: int, counts: StepCounts, tokenizer: str, objective: str) -> Pack:
    offsets = _offsets([len(tree.trie) for tree in trees])
    terms = joined([t.terms for t in trees], offsets, _offsets([len(t.samples) for t in trees]))
    parent = [np.where(t.trie.parent < 0, -1, t.trie.parent + o) for t, o in zip(trees, offsets)]
    arrays = {
        "tokens": np.concatenate([t.trie.tokens for t in trees]),
        "parent": np.concatenate(parent),
        "depth": np.concatenate([t.trie.depth for t in trees]),
        "end": np.concatenate([t.trie.end + o for t, o in zip(trees, offsets)]),
        "term_token": terms.token,
        "term_sample": terms.sample,
        "term_turn": terms.turn,
        "rl_weight": terms.rl,
        "ce_weight": terms.ce,
        "kl_weight": terms.kl,
    }
    if not np.isnan(terms.engine_logprob).any():
        arrays["engine_logprob"] = terms.engine_logprob
    unique, flat = len(arrays["tokens"]), sum(t.flat for t in trees)
    pack = Pack(
        id="",
        objective=objective,
        tokenizer=tokenizer,
        step=step,
        version=terms.version if any(terms.version) else None,
        samples=[sample for t in trees for sample in t.samples],
        step_counts=counts,
        stats=PackStats(flat=flat, unique=unique, por=por(unique, flat)),
        **{name: array.tolist() for name, array in arrays.items()},
    )
    return msgspec.structs.replace(pack, id=_id(pack, arrays))


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()[:-1]]


def _id(pack: Pack, arrays: dict[str, np.ndarray]) -> str:
    """The id of a pack, a hash of its content; the long arrays are hashed as bytes rather than as text."""
    digests = [f"{name} {hashlib.sha256(a.tobytes()).hexdigest()}" for name, a in arrays.items()]
    rest = (pack.samples, pack.step_counts, pack.stats, pack.version)
    text = msgspec.json.encode(rest).decode()
    return content_id("kat.pack/1", pack.objective, pack.tokenizer, str(pack.step), text, *digests)
