"""The load-balancing loss of a mixture of experts, over a step that is run in parts (method.md § 7.5).

In: a model with routers, the terms of a step, a coefficient c. Out: the loss's gradient, which joins the backward pass
of every part. For each of L layers and E experts, with w_i the weight of the terms that state i predicts, over the step

    f_e = Σ_i w_i [e among i's top k] / Σ_i w_i      the load, a constant
    P_e = Σ_i w_i p_ie / Σ_i w_i                     the mean router probability
    loss = c · E / L · Σ_layers Σ_e f_e P_e          Switch Transformer (arXiv 2101.03961), eq. 4-6, with k experts

Loads are those of the whole step, so they are counted first, in a pass without gradient: then the loss is a sum over
states, and parts, forks and packs change nothing. Not for RL: its loss is no sum over sampled paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from katcore.errors import UsageError
from katcore.model.partition import Part
from katcore.model.tree_lm import TreeLM
from katcore.train.terms import TermTensors
from katcore.train.world import ALONE, World


class RouterLoss:
    """Counts the experts' loads, then adds the loss's gradient, both through hooks on the model's routers.

    In a world of several ranks each counts its own rows. There the other losses are multiplied by the number of ranks,
    to cancel DeepSpeed's mean, and so is this one.
    """

    def __init__(self, lm: TreeLM, coefficient: float, world: World = ALONE) -> None:
        self.lm, self.coefficient, self.world = lm, coefficient, world
        self.load: list[Tensor] = []  # per layer [E]: Σ w over the states that chose the expert
        self.mean: list[Tensor] = []  # per layer [E]: Σ w p
        self.total = 0.0  # Σ w
        self._counting = False
        self._weights: dict[int, Tensor] = {}  # id of a part → [n], weight of each of its states
        self._now: Tensor | None = None  # those of the part whose layer runs
        for _, router in self._routers():
            self.load.append(torch.zeros(router.num_experts, dtype=torch.float64, device=lm.device))
            self.mean.append(self.load[-1].clone())
        if not self.load:
            raise UsageError(f"{lm.model.config.model_type} has no experts to balance", hint="leave --router-loss out")
        self.experts = len(self.load[0])

    def _routers(self) -> Iterator[tuple[Any, Any]]:
        """(decoder layer, router) of every layer that has experts."""
        for layer in self.lm.model.get_decoder().layers:
            for module in layer.modules():
                if hasattr(module, "top_k") and hasattr(module, "num_experts") and hasattr(module, "weight"):
                    yield layer, module

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """While this is open, the model's passes over parts of the counted step have the loss in their gradients."""
        hooks = []
        for number, (layer, router) in enumerate(self._routers()):
            # not on the layer: what is computed again in the backward pass is its forward, without its hooks
            hooks.append(layer.self_attn.register_forward_pre_hook(self._enter, with_kwargs=True))
            hooks.append(router.register_forward_hook(self._routed(number)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def count(self, rows: Sequence[TermTensors], walk: Callable[[Sequence[TermTensors]], int]) -> int:
        """Count the loads of the step whose terms these are, without gradient; returns the number of tokens computed.

        `walk` runs this rank's rows among those that it is given, and returns the number of tokens computed.
        """
        self._weights = {}
        self.total = 0.0
        for sums in (*self.load, *self.mean):
            sums.zero_()
        for terms in rows:
            self._weigh(terms)
        silent = [_silent(terms) for terms in rows]
        self._counting = True
        try:
            with torch.no_grad(), self.hooked():
                computed = walk(silent)
        finally:
            self._counting = False
        self._sum_up()
        return computed

    def _sum_up(self) -> None:
        """Add up what the ranks counted; `total` needs no sum, as every rank weighs the rows of all."""
        if self.world.size == 1:
            return
        everybody = self.world.all_gather([x.cpu() for x in (*self.load, *self.mean)])
        for own, sums in zip((*self.load, *self.mean), zip(*everybody)):
            own.copy_(torch.stack(sums).sum(0))

    def metrics(self) -> dict[str, float]:
        """The loss, and the largest load over the mean one (1: balanced), averaged over layers."""
        if not self.total:
            return {}
        shares = [(load / self.total, mean / self.total) for load, mean in zip(self.load, self.mean)]
        value = sum(float(f @ p) for f, p in shares) * self.coefficient * self.experts / len(shares)
        peak = sum(float(f.max() / f.mean()) for f, _ in shares) / len(shares)
        return {"router_loss": value, "router_peak_load": peak}

    def _weigh(self, terms: TermTensors) -> None:
        """Set the weight of every state of the row, [N]: the sum of the weights of the terms which it predicts."""
        plan, columns = terms.plan, terms.columns
        weight = torch.zeros(len(plan.tree), dtype=torch.float64, device=self.lm.device)
        of_term = columns.ce_weight * columns.scale
        weight.index_add_(0, plan.tree.parent[plan.index][terms.place], of_term)
        self.total += float(of_term.sum())
        self._weights |= {id(part): weight[part.own] for part in plan.parts}

    def _enter(self, attention: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """A layer begins, in a part's forward pass or when it is computed again in the backward pass."""
        part: Part | None = kwargs["kat_seam"].part if "kat_seam" in kwargs else None
        self._now = None if part is None else self._weights.get(id(part))

    def _routed(self, layer: int) -> Any:
        """The hook of one layer's router, whose output is (logits [n, E], scores of the chosen, chosen [n, k])."""

        def hook(router: Any, args: Any, out: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor] | None:
            weight = self._now
            if weight is None or not self.total:
                return None
            logits, scores, chosen = out
            p = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)  # [n, E]
            if self._counting:
                self.load[layer].index_add_(0, chosen.flatten(), weight.repeat_interleave(chosen.shape[-1]))
                self.mean[layer] += weight @ p.double()
                return None
            # One 1 / total makes f of the load, the other P of Σ w p; f is a constant, so only p has a gradient.
            scale = self.world.size * self.coefficient * self.experts / len(self.load) / self.total**2
            slope = self.load[layer] * scale  # [E]
            share = weight.to(p) @ p @ slope.to(p)
            return logits, _WithLoss.apply(scores, share), chosen

        return hook


def _silent(terms: TermTensors) -> TermTensors:
    """The same terms with no token to read, so that a walk runs the layers and not the head."""
    return replace(terms, plan=replace(terms.plan, which=[which[:0] for which in terms.plan.which]))


class _WithLoss(torch.autograd.Function):  # type: ignore[misc]
    """Returns its first argument; in the backward pass the second one gets gradient 1, as a loss of its own does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor) -> Tensor:
        """x unchanged, as a view, so that autograd sees an output of this function."""
        ctx.save_for_backward(loss)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient that arrived, for x, and 1 for the loss, whatever arrived."""
        (loss,) = ctx.saved_tensors
        return grads[0], torch.ones_like(loss)
