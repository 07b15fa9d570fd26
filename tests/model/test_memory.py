"""What a walk holds at its worst: the estimate against the allocator's own record, which shares no code with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from katcore.model.memory import Costs, estimate
from katcore.model.partition import partition
from katcore.model.tree import Forest
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import WalkPlan, walk


def small(kind: str) -> Any:
    """Large enough that activations outweigh a tensor's odds and ends."""
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "tie_word_embeddings": kind != "qwen3-moe",
    }
    if kind == "qwen3-moe":
        sizes |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 128}
    if kind == "qwen3-window":
        sizes |= {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}
    family = "Qwen3Moe" if kind == "qwen3-moe" else "Qwen3"
    torch.manual_seed(1)
    return getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**sizes)).train()


def bush(trunk: int, middle: int, leaf: int) -> Forest:
    """A trunk, four branches, three leaves on each: every depth has something to keep or to compute again."""
    parent: list[int] = []
    end: list[int] = []

    def chain(above: int, size: int) -> int:
        first = len(parent)
        parent.extend([above, *range(first, first + size - 1)])
        end.extend([0] * size)
        return first

    def close(first: int, size: int) -> None:
        end[first : first + size] = [len(parent)] * size

    top = chain(-1, trunk)
    for _ in range(4):
        branch = chain(trunk - 1, middle)
        for _ in range(3):
            close(chain(branch + middle - 1, leaf), leaf)
        close(branch, middle)
    close(top, trunk)
    depth: list[int] = []
    for above in parent:
        depth.append(0 if above < 0 else depth[above] + 1)
    return Forest(torch.arange(len(parent)) % 500, torch.tensor(parent), torch.tensor(depth), torch.tensor(end))


def allocated(work: Callable[[], object]) -> int:
    """The most bytes above those of the start, from the profiler's record of the allocator."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen3", "qwen3-window", "qwen3-moe"])
def test_the_peak_is_within_a_tenth_of_the_estimate(kind: str) -> None:
    lm = TreeLM(small(kind))
    costs = Costs.of(lm)
    tree = bush(500, 180, 90)
    trained = torch.arange(100, len(tree))
    for parameter in lm.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for share, recompute in ((1, False), (2, False), (4, False), (10, False), (4, True)):
        plan = WalkPlan.of(tree, partition(tree, len(tree) // share), trained)

        def step(plan: WalkPlan = plan, recompute: bool = recompute) -> None:
            walk(lm, plan, lambda which, logprob, entropy: -logprob.sum(), recompute=recompute)

        told = estimate(lm, plan, costs, recompute=recompute).bytes
        seen = allocated(step)
        assert abs(told - seen) <= 0.1 * told, (share, recompute, told, seen)


def test_measuring_leaves_no_gradients() -> None:
    lm = TreeLM(small("qwen3"))
    Costs.of(lm)
    assert all(parameter.grad is None for parameter in lm.model.parameters())
