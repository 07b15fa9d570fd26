"""Packs as tensors, grouped into optimiser steps, with the denominators that belong to the whole step.

In: kat.pack records in stream order. Out: `Step`s of `PackRow`s. A step's coefficients are fixed here, before any loss
is known: they depend neither on how the step was cut into packs nor on what a ratio masks later. Nothing here touches a
model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from katcore.errors import InputError, UsageError
from katcore.model.tree import Forest
from katcore.records import Pack, StepCounts

REDUCERS = ("token-mean", "seq-mean-token-mean", "turn-mean", "constant")


@dataclass(frozen=True, eq=False)
class PackRow:
    """One pack. N unique tokens, M terms (a trained occurrence of a token in a sample), Q samples; floats are fp64."""

    id: str
    tree: Forest
    term_token: Tensor  # [M] int64, index into the tree
    term_sample: Tensor  # [M] int64, index into `samples`
    term_turn: Tensor  # [M] int64
    rl_weight: Tensor  # [M], 0 where the sample is masked or has no advantage
    ce_weight: Tensor  # [M], 0 where the sample is masked
    kl_weight: Tensor  # [M], 0 where the sample is masked
    advantage: Tensor  # [M], the sample's
    engine_logprob: Tensor | None  # [M]
    version: Tensor | None  # [M], number of the weights that sampled the token; NaN where it is no number
    old_logprob: Tensor | None  # [N]
    ref_logprob: Tensor | None  # [N]
    teacher_logprob: Tensor | None  # [N], the mean of the teachers'
    samples: tuple[str, ...]  # [Q] names, the same in every pack of the step
    groups: tuple[str, ...]  # [Q]
    rewards: Tensor  # [Q], NaN where there is none
    counts: StepCounts
    flat: int  # tokens of all paths, were each run by itself
    scale: Tensor  # [M], the reducer's coefficient of each term
    flat_scale: Tensor  # [M], that of the token mean, for the streams that always take it
    segment_sample: Tensor  # [M] int64, the sample, numbered over the step
    segment_turn: Tensor  # [M] int64, the (sample, turn), numbered over the step
    newest: float = math.nan  # the highest version of the step

    @property
    def age(self) -> Tensor | None:
        """[M] steps between the newest weights that sampled any of the step's tokens and those that sampled this."""
        return None if self.version is None else self.newest - self.version

    def facts(self) -> Iterator[tuple[int, tuple[str, float]]]:
        """(number over the step, (group, reward)) of every sample that has terms."""
        for number, sample in set(zip(self.segment_sample.tolist(), self.term_sample.tolist())):
            yield number, (self.groups[sample], float(self.rewards[sample]))

    @classmethod
    def of(cls, pack: Pack) -> PackRow:
        """The pack as tensors on the CPU; InputError when its arrays contradict each other.

        What belongs to the step, scales and the numbers of segments, is not set yet.
        """
        tree = Forest.of(pack)
        token, sample = torch.tensor(pack.term_token), torch.tensor(pack.term_sample)
        count = len(pack.term_token)
        _check_terms(pack, tree, token.long(), sample.long())
        live = torch.tensor([not s.masked for s in pack.samples])[sample.long()].double()
        scored = torch.tensor([s.advantage is not None for s in pack.samples])[sample.long()].double()
        advantage = _floats([s.advantage or 0.0 for s in pack.samples])[sample.long()]
        return cls(
            pack.id,
            tree,
            token.long(),
            sample.long(),
            torch.tensor(pack.term_turn).long(),
            _floats(pack.rl_weight) * live * scored,
            _floats(pack.ce_weight) * live,
            _floats(pack.kl_weight) * live,
            advantage,
            None if pack.engine_logprob is None else _floats(pack.engine_logprob),
            None if pack.version is None else _floats([_number(version) for version in pack.version]),
            None if pack.old_logprob is None else _floats(pack.old_logprob),
            None if pack.ref_logprob is None else _floats(pack.ref_logprob),
            None if not pack.teacher_logprob else torch.tensor(pack.teacher_logprob, dtype=torch.float64).mean(0),
            _sample_names(pack),
            tuple(s.group_id for s in pack.samples),
            _floats([math.nan if s.reward is None else s.reward for s in pack.samples]),
            pack.step_counts,
            pack.stats.flat or len(tree),
            torch.zeros(count, dtype=torch.float64),
            torch.zeros(count, dtype=torch.float64),
            sample.long(),
            torch.tensor(pack.term_turn).long(),
        )


def _number(version: str) -> float:
    """The version's number: weights are counted from those that a run starts with, which have no number of theirs."""
    return 0.0 if version == "default" else float(version) if version.isdecimal() else math.nan


def _sample_names(pack: Pack) -> tuple[str, ...]:
    """Trajectory ids, numbered where each path of a trajectory is a sample of its own."""
    seen: Counter[str] = Counter()
    names = []
    for sample in pack.samples:
        names.append(f"{sample.trajectory_id}#{seen[sample.trajectory_id]}")
        seen[sample.trajectory_id] += 1
    return tuple(names)


def _floats(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _check_terms(pack: Pack, tree: Forest, token: Tensor, sample: Tensor) -> None:
    columns = [len(x) for x in (pack.term_sample, pack.term_turn, pack.rl_weight, pack.ce_weight, pack.kl_weight)]
    sizes = {*columns, len(pack.engine_logprob)} if pack.engine_logprob is not None else {*columns}
    if len(token) == 0 or sizes != {len(token)}:
        raise InputError(f"pack {pack.id}: the columns of the term table must have one length above 0")
    inside = (token >= 0) & (token < len(tree)) & (sample >= 0) & (sample < len(pack.samples))
    if not bool(inside.all()):
        raise InputError(f"pack {pack.id}: a term points outside the pack")
    if bool((tree.parent[token] < 0).any()):
        raise InputError(f"pack {pack.id}: a root token is trained, but nothing comes before it to predict it from")
    per_token = [pack.old_logprob, pack.ref_logprob, *(pack.teacher_logprob or [])]
    if any(column is not None and len(column) != len(tree) for column in per_token):
        raise InputError(f"pack {pack.id}: log-probs must have one entry per unique token")


@dataclass(frozen=True)
class Step:
    """All packs of one optimiser step."""

    rows: tuple[PackRow, ...]
    counts: StepCounts

    @property
    def unique(self) -> int:
        """Tokens computed."""
        return sum(len(row.tree) for row in self.rows)

    @property
    def flat(self) -> int:
        """Tokens that path-by-path training would compute."""
        return sum(row.flat for row in self.rows)

    @property
    def trained(self) -> int:
        """Terms with a weight in any stream."""
        return sum(int(((row.rl_weight != 0) | (row.ce_weight != 0) | (row.kl_weight != 0)).sum()) for row in self.rows)


def steps(
    packs: Iterable[Pack],
    reducer: str,
    constant: int | None = None,
    batch_packs: int = 0,
    *,
    by_objective: bool = False,
) -> Iterator[Step]:
    """Consecutive packs of one step number, whole steps only; or `batch_packs` at a time whatever they say.

    `constant`: what the reducer of that name divides a sample by; the others do not look at it.
    `by_objective`: packs made for several objectives under one step number are one step, wherever they lie in the
    input, which is read whole first; each objective keeps its own denominators. InputError when a step's packs are not
    all there: its denominators would be wrong.
    """
    groups = _groups(packs, batch_packs)
    if not by_objective:
        yield from (_whole(group, reducer, constant, bool(batch_packs)) for group in groups)
        return
    found: dict[tuple[int, int], list[Step]] = {}
    seen: Counter[tuple[int, str]] = Counter()
    for number, group in enumerate(groups):
        for part in _by_objective(group):
            name = number if batch_packs else part[0].step, part[0].objective
            found.setdefault((seen[name], name[0]), []).append(_whole(part, reducer, constant, bool(batch_packs)))
            seen[name] += 1  # a second step of the same number and objective is another file's
    yield from (_together(found[key]) for key in sorted(found))


def _groups(packs: Iterable[Pack], batch_packs: int) -> Iterator[list[Pack]]:
    group: list[Pack] = []
    for pack in packs:
        group.append(pack)
        if (group[0].step, group[0].step_counts) != (pack.step, pack.step_counts) and not batch_packs:
            raise _incomplete(group[:-1])
        if len(group) == batch_packs or (not batch_packs and _terms(group) == pack.step_counts.trained_tokens):
            yield group
            group = []
    if group and not batch_packs:
        raise _incomplete(group)
    if group:
        yield group


def _by_objective(packs: Sequence[Pack]) -> list[list[Pack]]:
    found: dict[str, list[Pack]] = {}
    for pack in packs:
        found.setdefault(pack.objective, []).append(pack)
    return list(found.values())


def _terms(packs: Sequence[Pack]) -> int:
    return sum(len(pack.term_token) for pack in packs)


def _incomplete(packs: Sequence[Pack]) -> InputError:
    wanted = packs[0].step_counts.trained_tokens
    return InputError(
        f"step {packs[0].step} has {_terms(packs)} trained tokens in {len(packs)} packs, but says it has {wanted}",
        hint="give all packs of a step together, or --batch-packs N to make steps of any N packs",
    )


def _whole(packs: Sequence[Pack], reducer: str, constant: int | None, recount: bool) -> Step:
    rows = [PackRow.of(pack) for pack in packs]
    return _step(rows, reducer, constant, counted(rows) if recount else packs[0].step_counts)


def counted(rows: Sequence[PackRow]) -> StepCounts:
    """The counts of these rows themselves, for batches that do not follow the packs' own steps."""
    rows = _numbered(rows)
    tokens = sum(len(row.scale) for row in rows)
    samples, turns = (
        len(torch.cat([getattr(row, name) for row in rows]).unique()) for name in ("segment_sample", "segment_turn")
    )
    return StepCounts(samples=samples, turns=turns, trained_tokens=tokens)


def _numbered(rows: Sequence[PackRow]) -> list[PackRow]:
    """The rows with samples, and turns of samples, numbered from 0 over all of them."""
    known: dict[str, int] = {}
    sample = [
        torch.tensor([known.setdefault(name, len(known)) for name in row.samples])[row.term_sample] for row in rows
    ]
    turn = torch.cat([(number << 32) | row.term_turn for number, row in zip(sample, rows)])
    turns = turn.unique(return_inverse=True)[1].split([len(number) for number in sample])
    return [replace(row, segment_sample=s, segment_turn=t) for row, s, t in zip(rows, sample, turns)]


def _step(rows: Sequence[PackRow], reducer: str, constant: int | None, counts: StepCounts) -> Step:
    known = [v for row in rows if row.version is not None for v in row.version.tolist() if not math.isnan(v)]
    rows = [replace(row, newest=max(known, default=math.nan)) for row in _numbered(rows)]
    mean = 1.0 / max(counts.trained_tokens, 1)
    scales = _scales(rows, reducer, constant, counts)
    return Step(
        tuple(replace(r, scale=s, flat_scale=torch.full_like(s, mean)) for r, s in zip(rows, scales)), counts
    )  # fmt: skip


def _together(parts: Sequence[Step]) -> Step:
    """Steps of several objectives as one: each term keeps its own step's coefficient, samples stay apart."""
    rows: list[PackRow] = []
    ages = [row.newest for part in parts for row in part.rows if not math.isnan(row.newest)]
    samples = turns = 0
    for part in parts:
        for row in part.rows:
            sample, turn = row.segment_sample + samples, row.segment_turn + turns
            moved = replace(row, segment_sample=sample, segment_turn=turn, newest=max(ages, default=math.nan))
            rows.append(_without_policy(moved))
        samples += 1 + max(int(row.segment_sample.max()) for row in part.rows)
        turns += 1 + max(int(row.segment_turn.max()) for row in part.rows)
    names = StepCounts.__struct_fields__
    return Step(tuple(rows), StepCounts(**{name: sum(getattr(part.counts, name) for part in parts) for name in names}))


def _without_policy(row: PackRow) -> PackRow:
    """A row of demonstrations says NaN of the policies that its terms are not compared with: no loss looks there."""
    if bool(row.rl_weight.any() or row.kl_weight.any()):
        return row
    term, token = torch.full_like(row.scale, math.nan), torch.full((len(row.tree),), math.nan, dtype=torch.float64)
    return replace(row, engine_logprob=term, version=term, teacher_logprob=token, ref_logprob=token)


def _scales(rows: Sequence[PackRow], reducer: str, constant: int | None, counts: StepCounts) -> list[Tensor]:
    """The coefficient of each term, per row: a reducer is a weighted sum whose weights are known beforehand.

    token-mean: 1 / trained tokens of the step (DAPO). seq-mean-token-mean: 1 / (samples · tokens of the sample)
    (GRPO). turn-mean: 1 / (samples · turns of the sample · tokens of the turn). constant: 1 / (samples · constant)
    (Dr. GRPO, which divides by the longest allowed completion).
    """
    if reducer not in REDUCERS:
        raise UsageError(f"unknown reducer {reducer!r}", hint=f"one of: {', '.join(REDUCERS)}")
    samples = max(counts.samples, 1)
    sizes = [len(row.scale) for row in rows]
    if reducer == "token-mean":
        return [torch.full_like(row.scale, 1.0 / max(counts.trained_tokens, 1)) for row in rows]
    if reducer == "constant":
        assert constant is not None
        return [torch.full_like(row.scale, 1.0 / (samples * constant)) for row in rows]
    # tokens of each segment, and segments of each sample, over all packs of the step
    sample = torch.cat([row.segment_sample for row in rows])
    segment = sample if reducer == "seq-mean-token-mean" else torch.cat([row.segment_turn for row in rows])
    tokens = torch.bincount(segment)
    owner = torch.empty_like(tokens).index_copy_(0, segment, sample)
    share = 1.0 / (samples * torch.bincount(owner)[owner] * tokens).double()
    return list(share[segment].split(sizes))
