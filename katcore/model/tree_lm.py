"""A transformers causal LM that runs over a token trie: every unique token once, log-probs read at the parents.

In: a model folder, and trees in the layout of kat.pack (tokens in depth-first order, parent, depth, end). Out: hidden
states, and log-probs and entropies of chosen tokens. The model's code is untouched: its attention goes through
transformers' attention interface to `katkernels.tree_attention`, and positions are depths. No loss and no optimiser
here. A model whose layers do more than full softmax attention with rotary positions is refused by name
(`supported.py`), and the first thing a loaded model does is to agree with its own linear forward on a small tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253
from torch.utils.checkpoint import checkpoint  # noqa: TID253

from katcore.errors import InputError, UsageError, first_line
from katcore.model.loading import load_causal_lm, load_config
from katcore.model.partition import partition
from katcore.model.seams import Seam, Shown
from katcore.model.supported import refuse_config, refuse_unsupported
from katcore.model.tree import Forest
from katcore.records import Pack
from katkernels.linear_logprob import linear_logprob
from katkernels.tree_attention import tree_attention

__all__ = ["ATTENTION", "Forest", "TreeLM", "refuse_unsupported"]

ATTENTION = "kat_tree"
"""The name under which transformers knows our attention function."""


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """transformers' attention function: q [1, H, n, D], k and v [1, Hkv, n, D] → [1, n, H, D]."""
    seam: Seam = kwargs["kat_seam"]
    window = kwargs.get("sliding_window")
    own = key[0].transpose(0, 1), value[0].transpose(0, 1)  # [n, Hkv, D]
    k, v = seam.join(module.layer_idx, *own)  # [P + n, Hkv, D]
    with seam.remembered(module.layer_idx, own, (k, v)):
        out = tree_attention(
            query[0].transpose(0, 1),  # [n, H, D]
            k,
            v,
            seam.part.end,
            q_offset=seam.part.inherited,
            scale=kwargs.get("scaling"),
            window=window,
            backend=kwargs["kat_backend"],
            plan=seam.part.plan(window),
        )
    return out.unsqueeze(0), None


class TreeLM:
    """A causal LM over trees; `model` is the transformers module, whose parameters an optimiser may change."""

    def __init__(self, model: Any, backend: str = "auto") -> None:
        from transformers import AttentionInterface

        refuse_unsupported(model)
        AttentionInterface.register(ATTENTION, _attention)
        self.model = model
        self.backend = backend
        self.vocabulary: int = self.head.shape[0]  # asked for once: where ranks share the weights they are not all here
        self.stock = model.config._attn_implementation if model.config._attn_implementation != ATTENTION else "sdpa"
        self.check()

    @classmethod
    def load(
        cls, folder: str | Path, *, dtype: torch.dtype = torch.float32, device: str = "", backend: str = "auto"
    ) -> TreeLM:
        """The model of a folder that transformers can load; `device` defaults to the accelerator, if there is one.

        UsageError for a model that does not run over a tree, InputError for a folder that does not hold it whole.
        """
        if not (Path(folder) / "config.json").is_file():
            raise UsageError(f"no model in {folder}", hint="kat-train init --out DIR makes a small one")
        refuse_config(load_config(folder))
        model = load_causal_lm(folder, dtype)
        return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), backend)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        device: torch.device = self.model.device
        return device

    @property
    def head(self) -> Tensor:
        """The output embedding, [V, H]."""
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight

    def hidden(self, seam: Seam, *, recompute: bool = False) -> Tensor:
        """Last hidden states [n, H] of a part's own tokens; `recompute`: keep no more than the layers' inputs."""
        part = seam.part
        self._attend(ATTENTION)
        with self._checkpointing(recompute):
            out = self.model.get_decoder()(
                input_ids=part.tokens[None],
                position_ids=part.depth[None],
                attention_mask=None,
                use_cache=False,
                kat_seam=seam,
                kat_backend=self.backend,
            )
        states: Tensor = out.last_hidden_state[0]
        return states

    @contextmanager
    def _checkpointing(self, wanted: bool) -> Iterator[None]:
        """Layers that keep their inputs alone and are computed again in the backward pass, while this is open."""
        layers = [m for m in self.model.modules() if hasattr(m, "gradient_checkpointing")] if wanted else []
        for layer in layers:
            # No layer draws random numbers (`refuse_unsupported`), so there is no state of the generator to restore.
            layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
            layer.gradient_checkpointing = True
        try:
            yield
        finally:
            for layer in layers:
                layer.gradient_checkpointing = False

    def _attend(self, implementation: str) -> None:
        """Let the model's layers call this attention; transformers looks through all modules to set it."""
        if self.model.config._attn_implementation != implementation:
            self.model.set_attn_implementation(implementation)

    def logprobs(self, tree: Forest, index: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """(logprob [T], entropy [T]) in nats of the tokens at `index` [T], each given its path; none of them a root.

        Runs the whole forest at once; `katcore.model.walk` goes through it in parts.
        """
        (part,) = partition(tree)
        hidden = self.hidden(Seam(part, Shown(), ()))
        return self.read(hidden, tree.tokens[index], tree.parent[index], temperature)

    def read(self, hidden: Tensor, targets: Tensor, row: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """(logprob [T], entropy [T]) in nats of `targets` [T] at the states `row` [T] of hidden [n, H]."""
        rows, local = row.unique(return_inverse=True)  # [R]: states that nobody reads stay out of the head
        lp, entropy = linear_logprob(hidden[rows], self.head, targets, local, temperature)
        return lp, entropy

    def check(self) -> None:
        """UsageError for a model whose tree forward is not its linear forward, in any log-prob of two branches."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(min(self.head.shape[0], 50_000), (7,), generator=generator)
        #            0 ─ 1 ─ 2 ─ 3 ─ 4        a stem of three, a branch of two
        #                    └── 5 ─ 6        and another
        tree = Forest(
            ids,
            torch.tensor([-1, 0, 1, 2, 3, 2, 5]),
            torch.tensor([0, 1, 2, 3, 4, 3, 4]),
            torch.tensor([7] * 3 + [5] * 2 + [7] * 2),
        ).to(self.device)
        kind = self.model.config.model_type
        try:
            with torch.no_grad():
                worst = self._difference(tree)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:  # out of the model's code
            raise UsageError(f"{kind} does not run over a tree: {first_line(error)}") from error
        limit = 1e-3 if self.model.dtype in (torch.float32, torch.float64) else 0.1
        if not worst <= limit:
            raise UsageError(f"{kind} does not run over a tree: log-probs differ by {worst:.2g} from a linear forward")

    def _difference(self, tree: Forest) -> float:
        """The largest one between the log-probs of the tree of `check` and those of its two paths."""
        got, _ = self.logprobs(tree, torch.arange(1, 7, device=self.device))
        worst = 0.0
        for path in ([0, 1, 2, 3, 4], [0, 1, 2, 5, 6]):
            expected = self.linear_logprobs(tree.tokens[path])
            worst = max(worst, float((got[[i - 1 for i in path[1:]]] - expected).abs().max()))
        return worst

    def accept(self, pack: Pack) -> None:
        """InputError for a pack with a token that this model has not."""
        if pack.tokens and not 0 <= min(pack.tokens) <= max(pack.tokens) < self.vocabulary:
            wrong = next(token for token in pack.tokens if not 0 <= token < self.vocabulary)
            what = f"pack {pack.id}: {wrong} is no token id: the model has {self.vocabulary} tokens"
            raise InputError(what, hint="give kat-rollout and kat-pack-trie the same --model")

    def linear_logprobs(self, ids: Tensor) -> Tensor:
        """Log-probs [L − 1] of ids[1:] by the model's own forward over one sequence: what tree results must equal."""
        self._attend(self.stock)
        logits = self.model(input_ids=ids[None], use_cache=False).logits[0, :-1]  # [L-1, V]
        return torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), -1).gather(
            1, ids[1:, None]
        )[:, 0]
