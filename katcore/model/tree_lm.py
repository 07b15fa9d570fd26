"""A transformers causal LM that runs over a token trie: every unique token once, log-probs read at the parents.

In: a model folder, and trees in the layout of kat.pack (tokens in depth-first order, parent, depth, end). Out: hidden
states, and log-probs and entropies of chosen tokens. The model's code is untouched: its attention goes through
transformers' attention interface to `katkernels.tree_attention`, and positions are depths. No loss and no optimiser
here. A model whose layers do more than full softmax attention with rotary positions is refused by name, and the first
thing a loaded model does is to agree with its own linear forward on a small tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor, nn  # noqa: TID253

from katcore.errors import InputError, UsageError
from katcore.records import Pack
from katkernels.linear_logprob import linear_logprob
from katkernels.tree_attention import Plan, make_plan, tree_attention

ATTENTION = "kat_tree"
"""The name under which transformers knows our attention function."""


@dataclass(frozen=True)
class Tree:
    """A forest of token tries in depth-first order. N unique tokens; all int64."""

    tokens: Tensor  # [N]
    parent: Tensor  # [N], -1 at a root
    depth: Tensor  # [N], the token's position
    end: Tensor  # [N], one past the token's subtree: query i sees key j iff j <= i < end[j]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def plan(self) -> Plan:
        """How attention walks this forest: made once, used by every layer and epoch."""
        return make_plan(self.end, len(self))

    def to(self, device: torch.device) -> Tree:
        """The same forest on another device."""
        if self.tokens.device == device:
            return self
        return Tree(*(x.to(device) for x in (self.tokens, self.parent, self.depth, self.end)))

    @classmethod
    def of(cls, pack: Pack) -> Tree:
        """The pack's forest; InputError when its arrays do not describe one."""
        tree = cls(*(torch.tensor(x, dtype=torch.int64) for x in (pack.tokens, pack.parent, pack.depth, pack.end)))
        problem = tree.problem()
        if problem:
            raise InputError(f"pack {pack.id}: {problem}")
        return tree

    def problem(self) -> str:
        """What keeps these arrays from being a depth-first forest; empty when nothing does."""
        size = len(self)
        if size == 0 or any(x.numel() != size for x in (self.parent, self.depth, self.end)):
            return "tokens, parent, depth and end must have one length above 0"
        index = torch.arange(size)
        root = self.parent < 0
        above = self.parent.clamp(min=0)
        if bool((self.parent >= index).any()) or bool((self.parent < -1).any()):
            return "a token comes before its parent"
        if bool((self.depth != torch.where(root, 0, self.depth[above] + 1)).any()):
            return "depth is not one more than the parent's"
        if bool((self.end <= index).any()) or bool((self.end > size).any()):
            return "end lies outside the pack"
        # Depth-first means: the next token is a child of an open subtree, and subtrees nest.
        inside = root | ((index < self.end[above]) & (self.end <= self.end[above]))
        first_child = (self.parent[1:] == index[:-1]) == (self.end[:-1] > index[1:])
        after_root = self.end[root] == torch.cat([index[root][1:], torch.tensor([size])])
        if not (bool(inside.all()) and bool(first_child.all()) and bool(after_root.all())):
            return "end does not close the subtrees in depth-first order"
        return ""


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """transformers' attention function: q [1, H, N, D], k and v [1, Hkv, N, D] → [1, N, H, D]."""
    tree: Tree = kwargs["kat_tree"]
    out = tree_attention(
        query[0].transpose(0, 1),  # [N, H, D]
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        tree.end,
        scale=kwargs.get("scaling"),
        backend=kwargs["kat_backend"],
        plan=tree.plan,
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
        self.stock = model.config._attn_implementation if model.config._attn_implementation != ATTENTION else "sdpa"
        self.check()

    @classmethod
    def load(
        cls, folder: str | Path, *, dtype: torch.dtype = torch.float32, device: str = "", backend: str = "auto"
    ) -> TreeLM:
        """The model of a folder that transformers can load; `device` defaults to the accelerator, if there is one."""
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        if not (Path(folder) / "config.json").is_file():
            raise UsageError(f"no model in {folder}", hint="kat-train init --out DIR makes a small one")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), backend)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def head(self) -> Tensor:
        """The output embedding, [V, H]."""
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight

    def hidden(self, tree: Tree) -> Tensor:
        """Last hidden states [N, H] of every unique token."""
        if int(tree.tokens.max()) >= self.head.shape[0]:
            raise InputError(f"token id {int(tree.tokens.max())} is outside the model's {self.head.shape[0]} tokens")
        self.model.set_attn_implementation(ATTENTION)
        out = self.model.get_decoder()(
            input_ids=tree.tokens[None],
            position_ids=tree.depth[None],
            attention_mask=None,
            use_cache=False,
            kat_tree=tree,
            kat_backend=self.backend,
        )
        states: Tensor = out.last_hidden_state[0]
        return states

    def logprobs(self, tree: Tree, index: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """log p(token | path before it) and the entropy there, for the tokens at `index` [T], none of them a root."""
        hidden = self.hidden(tree)
        rows, row = tree.parent[index].unique(return_inverse=True)  # [R]: states that nobody reads stay out of the head
        lp, entropy = linear_logprob(hidden[rows], self.head, tree.tokens[index], row, temperature)
        return lp, entropy

    def check(self) -> None:
        """Refuse a model whose tree forward is not its linear forward: two branches, every path, every log-prob."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(min(self.head.shape[0], 50_000), (7,), generator=generator)
        #            0 ─ 1 ─ 2 ─ 3 ─ 4        a stem of three, a branch of two
        #                    └── 5 ─ 6        and another
        tree = Tree(
            ids,
            torch.tensor([-1, 0, 1, 2, 3, 2, 5]),
            torch.tensor([0, 1, 2, 3, 4, 3, 4]),
            torch.tensor([7] * 3 + [5] * 2 + [7] * 2),
        ).to(self.device)
        with torch.no_grad():
            got, _ = self.logprobs(tree, torch.arange(1, 7, device=self.device))
            worst = 0.0
            for path in ([0, 1, 2, 3, 4], [0, 1, 2, 5, 6]):
                expected = self.linear_logprobs(tree.tokens[path])
                worst = max(worst, float((got[[i - 1 for i in path[1:]]] - expected).abs().max()))
        limit = 1e-3 if self.model.dtype in (torch.float32, torch.float64) else 0.1
        if not worst <= limit:
            kind = self.model.config.model_type
            raise UsageError(f"{kind} does not run over a tree: log-probs differ by {worst:.2g} from a linear forward")

    def linear_logprobs(self, ids: Tensor) -> Tensor:
        """log p of ids[1:] by the model's own forward over one sequence: what every tree result must equal."""
        self.model.set_attn_implementation(self.stock)
        logits = self.model(input_ids=ids[None], use_cache=False).logits[0, :-1]  # [L-1, V]
        return torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), -1).gather(
            1, ids[1:, None]
        )[:, 0]


def refuse_unsupported(model: Any) -> None:
    """UsageError, naming model type and reason, for what a tree mask and explicit positions cannot express."""
    config = model.config
    reasons = []
    kinds = set(getattr(config, "layer_types", None) or [])
    if kinds - {"full_attention"}:
        reasons.append(f"has {', '.join(sorted(kinds - {'full_attention'}))} layers")
    elif not kinds and getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        reasons.append("has sliding-window layers")
    if not getattr(model, "_supports_attention_backend", False):
        reasons.append("does not let its attention be replaced")
    if getattr(config, "is_encoder_decoder", False):
        reasons.append("is an encoder-decoder")
    if any(name.rsplit(".", 1)[-1] == "sinks" for name, _ in model.named_parameters()):
        reasons.append("has attention sinks")
    dropouts = [k for k, v in config.to_dict().items() if k.endswith(("dropout", "_pdrop", "jitter_noise")) and v]
    reasons += [f"{name} is not 0" for name in sorted(dropouts)]
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope"):
        reasons.append(f"scales its rotary positions by the sequence length ({rope})")
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        reasons.append("has a bias on its output embedding")
    if reasons:
        raise UsageError(f"{config.model_type} is not supported: it {' and '.join(reasons)}")
