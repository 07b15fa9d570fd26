"""Passes over the packs of one step: log-probs without gradient, and the gradient of the step's loss.

In: a step, a model over trees, an objective. Out: gradients in the parameters, what the losses say, log-probs that a
later pass compares with. A loss that treats terms one by one is taken part by part, in one pass. One that couples
terms (a turn's ratio may span parts, packs) is first linearised at the whole step's log-probs (method.md § 6.5). No
optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from katcore.errors import KatError
from katcore.model.tree_lm import TreeLM
from katcore.train.batch import PackRow, Step
from katcore.train.losses import OBJECTIVES, LossOutputs, linear_loss, linearise
from katcore.train.mcla import anchored, averaged, shuffled_siblings
from katcore.train.objective import TrainObjective
from katcore.train.rescale import rescaled, sample_entropy
from katcore.train.router_loss import RouterLoss
from katcore.train.slots import Ranks, Slot
from katcore.train.terms import TermTensors, joined


@dataclass
class PassResults:
    """What the passes of one step found. Log-probs and entropies are one tensor [M] a row, over its terms."""

    terms: list[TermTensors]
    mine: list[int]
    """The numbers of the rows that this rank runs; what is known of other rows comes from the ranks that run them."""
    slots: list[Slot]
    logprob: list[Tensor] = field(default_factory=list)
    entropy: list[Tensor] = field(default_factory=list)
    old: list[Tensor] = field(default_factory=list)
    """log π_old: the trainer's own at the step's start, or what the packs bring; empty before the first update."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class Passes:
    """Runs a model over steps. `budget`: tokens whose activations are alive at once, 0: a whole row's.

    `reference` is the policy that a penalty pulls to. `computed` counts the tokens of a step that were computed with
    gradient, `forward_only` those without.
    """

    lm: TreeLM
    objective: TrainObjective
    budget: int = 0
    recompute: bool = False
    reference: TreeLM | None = None
    computed: int = 0
    forward_only: int = 0
    ranks: Ranks = field(default_factory=Ranks)
    _terms: WeakKeyDictionary[PackRow, TermTensors] = field(default_factory=WeakKeyDictionary)

    def __post_init__(self) -> None:
        weight = self.objective.options.router_loss
        self._router_loss = RouterLoss(self.lm, weight, self.ranks.world) if weight else None

    def begin(self, step: Step) -> PassResults:
        """Make what all updates of a step share: its terms, and the first pass where the objective wants one."""
        self.computed = self.forward_only = 0
        mine = self.ranks.mine(step)
        terms = self._referred([self._of(row, i in mine) for i, row in enumerate(step.rows)], step, mine)
        seen = PassResults(terms, mine, self.ranks.slots({i: terms[i] for i in mine}, self.recompute))
        if self.objective.scored:
            self._score(step, seen)
            self._rescale(step, seen)
        return seen

    def gradients(self, step: Step, seen: PassResults) -> list[LossOutputs]:
        """Add the step's gradients to the parameters'; the first call of a step fixes π_old.

        Returns the losses of all parts, or that of the whole step where terms are coupled. KatError for a loss that is
        not finite.
        """
        if not seen.logprob and (self.objective.coupled or self.objective.averaging.passes > 1):
            self._score(step, seen)
        if self._router_loss is not None:
            self.forward_only += self._router_loss.count(
                seen.terms, lambda terms: self._walk_through(seen.slots, terms)
            )
            seen.metrics |= self._router_loss.metrics()
        coupled = self._linearised(seen) if self.objective.coupled else None
        outputs: list[LossOutputs] = []
        now = [terms.columns.logprob for terms in seen.terms]  # empty, and so it stays for other ranks' rows
        for slot in seen.slots:
            i = slot.row
            if i < 0:
                self.ranks.walk(self.lm, slot, None, _nobody, self.objective.temperature, self.recompute)
                continue
            old = seen.old[i] if seen.old else seen.terms[i].packed_old
            weight = None if coupled is None else coupled[1][i]
            mean = seen.logprob[i] if self.objective.averaging.passes > 1 else None
            kept, logprob = self._row(slot, step.rows[i], seen.terms[i], old, weight, mean)
            outputs += kept
            now[i] = logprob if old is None else old
        seen.old = seen.old or now
        seen.logprob = []  # another update has other weights
        return self.ranks.joined(outputs) if coupled is None else [coupled[0]]

    def _of(self, row: PackRow, mine: bool) -> TermTensors:
        """The row's terms and parts, made once for all epochs; another rank's row is not cut."""
        if row not in self._terms:
            budget = self.budget if mine else 0
            self._terms[row] = TermTensors.of_row(row, budget, self.lm.device, weighted=not self.objective.coupled)
        return self._terms[row]

    def _referred(self, terms: list[TermTensors], step: Step, mine: list[int]) -> list[TermTensors]:
        """The terms with the reference policy's log-probs, asked for once. Every rank holds that policy whole."""
        wanted = [i for i, each in enumerate(terms) if each.columns.ref_logprob is None]
        if self.reference is None or not wanted:
            return terms
        own = {i: self._logprobs(Slot(i), terms[i], self.reference) for i in mine if i in wanted}
        for i, (logprob, *_) in self.ranks.everything(own, self.lm.device).items():
            terms[i] = self._terms[step.rows[i]] = terms[i].with_reference(logprob)
        return terms

    # ------------------------------------------------------------------------------------- without gradient

    def _logprobs(self, slot: Slot, terms: TermTensors, lm: TreeLM) -> tuple[Tensor, Tensor]:
        """(logprob [M], entropy [M]) of the terms under a model, in nats, fp64."""
        logprob, entropy = torch.zeros(2, len(terms.plan.index), dtype=torch.float64, device=lm.device).unbind()

        def visit(which: Tensor, lp: Tensor, h: Tensor) -> None:
            logprob[which], entropy[which] = lp.to(logprob.dtype), h.to(entropy.dtype)

        with torch.no_grad():
            self.forward_only += self.ranks.walk(lm, slot, terms, visit, self.objective.temperature, False)
        return logprob[terms.place], entropy[terms.place]

    def _scored(self, slots: list[Slot], terms: dict[int, TermTensors]) -> list[tuple[Tensor, ...]]:
        """(logprob [M], entropy [M]) of every row's terms, each from the rank that runs it."""
        found: dict[int, tuple[Tensor, ...]] = {}
        for slot in slots:
            if slot.row >= 0:
                found[slot.row] = self._logprobs(slot, terms[slot.row], self.lm)
                continue
            with torch.no_grad():
                self.ranks.walk(self.lm, slot, None, _nobody, self.objective.temperature, False)
        return [both for _, both in sorted(self.ranks.everything(found, self.lm.device).items())]

    def _walk_through(self, slots: list[Slot], terms: Sequence[TermTensors]) -> int:
        """Run this rank's rows for the model's hooks alone; returns the number of tokens computed."""
        rows = ((slot, None if slot.row < 0 else terms[slot.row]) for slot in slots)
        return sum(
            self.ranks.walk(self.lm, slot, row, _nobody, self.objective.temperature, False) for slot, row in rows
        )

    def _score(self, step: Step, seen: PassResults) -> None:
        """Store all terms' entropies, and their log-probs, averaged over passes if the objective says so."""
        entropies: list[Tensor] = []

        def run(k: int) -> Tensor:
            terms = {i: seen.terms[i] if k == 0 else self._shuffled(step.rows[i], k) for i in seen.mine}
            both = self._scored(seen.slots if k == 0 else self.ranks.slots(terms, self.recompute), terms)
            if k == 0:
                entropies.extend(h for _, h in both)
            return torch.cat([lp for lp, _ in both])

        mean = averaged(run, self.objective.averaging)
        seen.logprob = list(mean.logprob.split([len(terms) for terms in seen.terms]))
        seen.entropy = entropies
        if self.objective.averaging.passes > 1:
            seen.metrics |= mean.metrics()

    def _shuffled(self, row: PackRow, seed: int) -> TermTensors:
        """The row's terms over the same forest with its siblings in another order: other roundings, other routing."""
        tree, place = shuffled_siblings(row.tree, seed)
        moved = replace(row, tree=tree, term_token=place[row.term_token], old_logprob=None, ref_logprob=None)
        moved = replace(moved, teacher_logprob=None)
        return TermTensors.of_row(moved, self.budget, self.lm.device, weighted=not self.objective.coupled)

    def _rescale(self, step: Step, seen: PassResults) -> None:
        """Difficulty- and entropy-aware advantages, over all samples of the step that have one and are trained on."""
        told = self.objective.options
        if not self.objective.rescaled:
            return
        of_term = torch.cat([terms.columns.segment_sample for terms in seen.terms])  # type: ignore[misc]
        advised = torch.cat([terms.columns.rl_weight != 0 for terms in seen.terms])
        sample = of_term[advised].unique()  # a demonstration's success says nothing of how hard its task is
        if not len(sample):
            return
        local = torch.searchsorted(sample, of_term).clamp(max=len(sample) - 1)
        among = sample[local] == of_term
        facts = {number: fact for row in step.rows for number, fact in row.facts()}
        groups = {name: i for i, name in enumerate(dict.fromkeys(facts[n][0] for n in sample.tolist()))}
        group = torch.tensor([groups[facts[n][0]] for n in sample.tolist()], device=sample.device)
        success = torch.tensor([facts[n][1] for n in sample.tolist()], dtype=torch.float64, device=sample.device)
        success = success.clamp(0.0, 1.0)
        entropy = sample_entropy(torch.cat(seen.entropy)[among], local[among], len(sample))
        done = rescaled(torch.ones_like(success), group, success, entropy, told.difficulty_weight, told.entropy_weight)
        factors = torch.where(among, done.advantage[local], 1.0).split([len(terms) for terms in seen.terms])
        seen.terms = [terms.with_advantages(factor) for terms, factor in zip(seen.terms, factors)]
        seen.metrics |= {name: float(values.mean()) for name, values in done.metrics().items()}

    def _linearised(self, seen: PassResults) -> tuple[LossOutputs, Sequence[Tensor]]:
        """The step's loss, and each row's coefficients [M] of a linear loss with the same gradient."""
        every = [torch.arange(len(terms), device=self.lm.device) for terms in seen.terms]
        packed = [terms.packed_old for terms in seen.terms]
        old = seen.old or [lp if own is None else own for own, lp in zip(packed, seen.logprob)]
        inputs = joined(
            [t.inputs(e, lp, h, o) for t, e, lp, h, o in zip(seen.terms, every, seen.logprob, seen.entropy, old)]
        )
        linear = linearise(OBJECTIVES[self.objective.name].loss, inputs, self.objective.settings)
        seen.old = list(old)
        return self._finite(linear.outputs, "the step"), linear.weight.split([len(terms) for terms in seen.terms])

    # ---------------------------------------------------------------------------------------- with gradient

    def _row(
        self,
        slot: Slot,
        row: PackRow,
        terms: TermTensors,
        old: Tensor | None,
        weight: Tensor | None,
        mean: Tensor | None,
    ) -> tuple[list[LossOutputs], Tensor]:
        """The row's gradients, part by part; the parts' losses, and all terms' log-probs [M] as they were.

        `weight` [M]: the coefficients of a linear loss. `mean` [M]: averaged log-probs, whose gradient is this pass's.
        """
        outputs: list[LossOutputs] = []
        now = torch.zeros(len(terms), dtype=torch.float64, device=self.lm.device)

        def visit(which: Tensor, logprob: Tensor, entropy: Tensor) -> Tensor:
            chosen, local = terms.of(which)
            lp = logprob[local]
            if weight is not None:
                return linear_loss(lp, weight[chosen].to(lp))  # its value is no loss: what is reported is the step's
            if mean is not None:
                lp = anchored(lp, mean[chosen].to(lp))
            now[chosen] = lp.detach().to(now.dtype)
            # Before the first update π_old is π now, stopped: the ratio is 1, with a gradient. No loss trains entropy.
            inputs = terms.inputs(chosen, lp, entropy.detach()[local], lp.detach() if old is None else old[chosen])
            out = OBJECTIVES[self.objective.name].loss(inputs, self.objective.settings)
            outputs.append(self._finite(LossOutputs(out.loss.detach(), out.metrics), f"pack {row.id}"))
            return out.loss

        with nullcontext() if self._router_loss is None else self._router_loss.hooked():
            self.computed += self.ranks.walk(self.lm, slot, terms, visit, self.objective.temperature, self.recompute)
        return outputs, now

    def _finite(self, out: LossOutputs, what: str) -> LossOutputs:
        if not bool(out.loss.isfinite()):
            raise KatError(f"the loss of {what} is {float(out.loss)}")
        return out


def _nobody(which: Tensor, logprob: Tensor, entropy: Tensor) -> None:
    """The visit of a walk that reads no log-probs and gives no loss."""
