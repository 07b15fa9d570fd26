"""Random packs, tiny models in fp64, and the slow and obvious training that tree training must equal."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from katcore.records import Pack, PackSample, PackStats, StepCounts

VOCAB = 40


@dataclass
class Paths:
    """What a pack was made from: per sample its token sequence, and per term (sample, position, turn, weights)."""

    sequences: list[list[int]] = field(default_factory=list)
    terms: list[tuple[int, int, int, float, float, float]] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)


def random_paths(seed: int, trees: int = 2, samples: int = 4, chain: bool = False) -> tuple[list[int], Paths]:
    """Sequences that share prefixes, a group a tree; returns each sample's tree beside them."""
    rng = random.Random(seed)
    paths, groups = Paths(), []
    for tree in range(trees):
        trunk = [rng.randrange(VOCAB) for _ in range(rng.randint(2, 6))]
        drawn = [trunk]
        for _ in range(1 if chain else samples):
            base = rng.choice(drawn)
            keep = rng.randint(1, len(base))
            # ids from a few only, so that branches repeat tokens and even coincide for a while
            drawn.append(
                base[:keep] + [rng.randrange(4 if rng.random() < 0.5 else VOCAB) for _ in range(rng.randint(1, 6))]
            )
        for sequence in drawn[1:]:
            index = len(paths.sequences)
            paths.sequences.append(sequence)
            paths.advantages.append(rng.uniform(-2, 2))
            groups.append(tree)
            first = rng.randint(1, (len(sequence) + 1) // 2)
            paths.terms += [
                (index, p, (p - first) // 3, rng.choice([1.0, 1.0, 0.5]), rng.choice([0.0, 1.0, 0.3]), 1.0)
                for p in range(first, len(sequence))
            ]
    return groups, paths


def make_pack(seed: int, **kwargs: Any) -> tuple[Pack, Paths]:
    """A pack of random tries, flattened by the plainest recursion, with log-probs of engine and teacher."""
    groups, paths = random_paths(seed, **kwargs)
    rng = random.Random(seed + 1)
    tokens: list[int] = []
    parent: list[int] = []
    depth: list[int] = []
    end: list[int] = []
    place: dict[tuple[int, int], int] = {}

    def visit(members: list[int], position: int, above: int) -> None:
        by_token: dict[int, list[int]] = {}
        for sample in members:
            if position < len(paths.sequences[sample]):
                by_token.setdefault(paths.sequences[sample][position], []).append(sample)
        for token, below in by_token.items():
            here = len(tokens)
            tokens.append(token)
            parent.append(above)
            depth.append(position)
            end.append(0)
            place.update({(sample, position): here for sample in below})
            visit(below, position + 1, here)
            end[here] = len(tokens)

    for tree in sorted(set(groups)):
        visit([s for s, g in enumerate(groups) if g == tree], 0, -1)
    count = len(paths.terms)
    flat = sum(len(s) for s in paths.sequences)
    pack = Pack(
        id=f"pack{seed}",
        objective="grpo",
        tokens=tokens,
        parent=parent,
        depth=depth,
        end=end,
        teacher_logprob=[[rng.uniform(-5, -0.1) for _ in tokens]],
        term_token=[place[t[0], t[1]] for t in paths.terms],
        term_sample=[t[0] for t in paths.terms],
        term_turn=[t[2] for t in paths.terms],
        rl_weight=[t[3] for t in paths.terms],
        ce_weight=[t[4] for t in paths.terms],
        kl_weight=[t[5] for t in paths.terms],
        engine_logprob=[rng.uniform(-5, -0.1) for _ in range(count)],
        samples=[
            PackSample(trajectory_id=f"{seed}-{i}", group_id=f"{seed}-{groups[i]}", reward=1.0, advantage=a)
            for i, a in enumerate(paths.advantages)
        ],
        step_counts=StepCounts(
            groups=len(set(groups)),
            samples=len(paths.sequences),
            turns=len({(sample, turn) for sample, _, turn, *_ in paths.terms}),
            trained_tokens=count,
        ),
        stats=PackStats(flat=flat, unique=len(tokens), por=1 - len(tokens) / flat),
    )
    return pack, paths


def varied(pack: Pack) -> bool:
    """Depth of at least 4, a fork of at least 3 branches, a branch of one token, a token that occurs twice."""
    children = Counter(p for p in pack.parent if p >= 0)
    single = any(children[p] > 1 and e == t + 1 for t, (p, e) in enumerate(zip(pack.parent, pack.end)) if p >= 0)
    return max(pack.depth) >= 4 and max(children.values()) >= 3 and single and len(set(pack.tokens)) < len(pack.tokens)


KINDS = ("qwen3", "qwen3-moe", "qwen3-window", "mistral-window")


def tiny_model(seed: int = 0, dtype: torch.dtype = torch.float64, kind: str = "qwen3", **changes: Any) -> Any:
    """Two layers with grouped queries and tied embeddings, sharpened so that log-probs differ."""
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "tie_word_embeddings": True,
        "max_position_embeddings": 256,
    }
    family = {"qwen3-moe": "Qwen3Moe", "mistral-window": "Mistral"}.get(kind, "Qwen3")
    if kind == "qwen3-moe":
        sizes |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
        sizes |= {"experts_implementation": "eager"}  # the grouped product knows no fp64
    if kind == "qwen3-window":
        sizes |= {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
    if kind == "mistral-window":
        sizes |= {"sliding_window": 3}
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(**(sizes | changes))
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0) if p.ndim > 1 else p.mul_(1 + 0.1 * torch.rand_like(p))
    return model.to(dtype)


def path_logprobs(model: Any, paths: Paths) -> list[Tensor]:
    """log p of every token but the first of every sequence, each sequence run by itself."""
    out = []
    for sequence in paths.sequences:
        ids = torch.tensor([sequence])
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        out.append(torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0])
    return out


def packed(seed: int) -> tuple[Pack, Paths]:
    """A pack with the log-probs of four other policies near the model's own."""
    pack, paths = make_pack(seed, trees=2, samples=6)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        logprobs = path_logprobs(tiny_model(seed), paths)
    own = torch.zeros(len(pack.tokens), dtype=torch.float64)
    for term, (sample, position, *_) in enumerate(paths.terms):
        own[pack.term_token[term]] = logprobs[sample][position - 1]

    def near(values: Tensor, by: float) -> list[float]:
        noise = torch.randn(len(values), generator=generator, dtype=torch.float64)
        return (values + by * noise).float().tolist()

    pack.old_logprob, pack.ref_logprob = near(own, 0.25), near(own, 0.5)
    pack.teacher_logprob = [near(own, 0.8)]
    pack.engine_logprob = near(torch.tensor(pack.old_logprob, dtype=torch.float64)[pack.term_token], 0.3)
    pack.version = [str(1 + term % 3) for term in range(len(pack.term_token))]
    return pack, paths


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def worst(got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    return max(float((got[n] - e).abs().max() / e.abs().max()) for n, e in expected.items())
