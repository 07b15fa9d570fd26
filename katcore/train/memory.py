"""What a step will need, said before it runs; and one clear error where that is more than there is.

In: the plans of a step's rows, what the optimiser keeps. Out: the step's estimate in bytes, or KatError with the budget
that would fit. The estimate is `katcore/model/memory.py`'s, whose measuring takes a second: a step that is far from the
machine's memory by the roughest count, and has no budget, is not measured. Not under DeepSpeed, which shares things out
and moves them about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from katcore.errors import KatError
from katcore.model.memory import Costs, Estimate, estimate, mib, rough_bytes
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import WalkPlan
from katcore.train.heap import kept_bytes

FAR = 0.1
"""The share of the free memory up to which the rough count of a step's activations is enough."""

CGROUP = Path("/sys/fs/cgroup")
"""Where the control group's files are, of version 2 or, under memory/, of version 1."""


class Memory:
    """Compares what steps need with the free memory; `say` gets a line for the first step and for each larger one."""

    def __init__(self, lm: TreeLM, budget: int, recompute: bool) -> None:
        self.lm, self.budget, self.recompute = lm, budget, recompute
        self.say: Callable[[str], None] = lambda line: None
        self._costs: Costs | None = None
        self._said = 0

    def needed(self, plans: Sequence[WalkPlan]) -> Estimate | None:
        """The estimate for the largest row; None where the rough count is far below the free memory."""
        if self._costs is None and not self.budget and self._rough(plans) < FAR * free_bytes(self.lm.device):
            return None
        if self._costs is None:
            self._costs = Costs.of(self.lm)
        found = (estimate(self.lm, plan, self._costs, recompute=self.recompute) for plan in plans)
        return max(found, key=lambda each: each.bytes)

    def check(self, plans: Sequence[WalkPlan], to_come: int) -> Estimate | None:
        """Say what a step of these rows needs and return it; KatError when it and `to_come` bytes more are not free."""
        needed = self.needed(plans)
        if needed is None:
            return None
        free = free_bytes(self.lm.device)
        if needed.bytes > self._said:
            self._said = needed.bytes
            state = f", and {mib(to_come)} of gradients and optimiser" if to_come else ""
            self.say(f"memory of a step: {needed}{state}; {mib(free)} are free")
        if needed.bytes + to_come > free:
            raise KatError(
                f"a step needs {mib(needed.bytes + to_come)} of memory, and {mib(free)} are free", hint=self._hint(free)
            )
        return needed

    def _hint(self, free: int) -> str:
        assert self._costs is not None
        # 0.8: allocators' gaps are in no estimate, and what parts lend to those below is not in `work` or `keep`.
        tokens = int(0.8 * (free - self._costs.fixed) / max(self._costs.work, self._costs.keep))
        if (self.budget and tokens >= self.budget) or tokens < 1:
            return "--dtype bfloat16 or a smaller model needs less; --deepspeed shares it out"
        return f"--budget {tokens} keeps the activations of fewer tokens at once"

    def _rough(self, plans: Sequence[WalkPlan]) -> float:
        """Bytes of all activations of the largest row, counted generously from the model's widths."""
        experts = getattr(self.lm.model.config, "num_experts_per_tok", None) or 1
        return float(max(len(plan.tree) for plan in plans) * rough_bytes(self.lm) * experts)


def free_bytes(device: torch.device) -> int:
    """Bytes that this process can still take on a device; on a CPU as its control group allows."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch's allocator holds and no tensor uses is free to this process, though not to the driver.
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        group = [_number(CGROUP / name) for name in (limit, used)]
        if group[0] is not None and group[1] is not None:
            free = min(free, max(group[0] - group[1], 0))
    return free + kept_bytes()


def _number(path: Path) -> int | None:
    """The number of bytes in a control group's file; None where the file is not there or says «max»."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
