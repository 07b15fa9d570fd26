"""The output layer's log-probs: ours against all logits at once, torch's chunked loss, Liger, and the bare products.

    OMP_NUM_THREADS=2 python benchmarks/linear_logprob.py [--device cuda] [--shape R,H,V]... [--runs 5] [--json FILE]

Timed is forward and backward of Σ log-prob with both gradients, medians of interleaved runs. Who runs: `ours`, the
default backend, with the entropies that it always gives; `ours_entropy`, their gradient too; `ours_recompute` (CPU), no
probabilities kept for the backward pass; `reference` and `naive`, all logits, with and without entropies; `torch`, its
own chunked linear_cross_entropy, where it has one (a scalar loss with the gradients made in the forward pass: no
per-token upstream gradient, no entropy); `liger`, its fused loss (the same limits), if installed. `floor` is the four
bare products of a head that keeps no logits: logits twice, and the two gradients. TFLOP/s count three products, since
recomputation is not work. Workspace is peak memory beyond inputs, gradients and what was there before.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from katkernels.linear_logprob import linear_logprob
from katkernels.linear_logprob.chunked import logprob_chunked

SHAPES = {"cpu": ["4096,256,4096", "1024,1024,32000"], "cuda": ["4096,4096,151936"]}

Head = Callable[[Tensor, Tensor, Tensor], Tensor]  # hidden [R, H], weight [V, H], targets [R] → loss


def heads(device: str) -> dict[str, Head]:
    """Who can run here; each gives the negative sum of the targets' log-probs."""

    def ours(h: Tensor, w: Tensor, t: Tensor) -> Tensor:
        return -linear_logprob(h, w, t, torch.arange(len(t), device=t.device))[0].sum()

    def with_entropy(h: Tensor, w: Tensor, t: Tensor) -> Tensor:
        logprob, entropy = linear_logprob(h, w, t, torch.arange(len(t), device=t.device))
        return -logprob.sum() - 0.01 * entropy.sum()

    def recompute(h: Tensor, w: Tensor, t: Tensor) -> Tensor:
        return -logprob_chunked(h, w, t, torch.arange(len(t)), 1.0, keep_bytes=0)[0].sum()

    def reference(h: Tensor, w: Tensor, t: Tensor) -> Tensor:
        logp = torch.log_softmax((h @ w.T).float(), -1)
        entropy = -(logp.exp() * logp).sum(-1)
        return -logp.gather(1, t[:, None]).sum() + 0 * entropy.sum().detach()

    def naive(h: Tensor, w: Tensor, t: Tensor) -> Tensor:
        return -torch.log_softmax((h @ w.T).float(), -1).gather(1, t[:, None]).sum()

    found: dict[str, Head] = {"ours": ours, "ours_entropy": with_entropy}
    found |= {"ours_recompute": recompute} if device == "cpu" else {}
    found |= {"naive": naive, "reference": reference}
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        options = torch.nn.LinearCrossEntropyOptions()
        found["torch"] = lambda h, w, t: functional.linear_cross_entropy(h, w, t, reduction="sum", options=options)
    if device == "cuda" and find_spec("liger_kernel"):
        from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy as liger

        found["liger"] = lambda h, w, t: liger(h, w, t, reduction="sum")
    return found


class Shape:
    """Tensors of one shape and what is measured on them."""

    def __init__(self, text: str, device: str) -> None:
        self.rows, self.size, self.vocabulary = map(int, text.split(","))
        self.device = torch.device(device)
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        generator = torch.Generator(self.device).manual_seed(0)
        make = {"device": self.device, "generator": generator}
        self.hidden = torch.randn(self.rows, self.size, **make).to(dtype).requires_grad_()
        self.weight = (torch.randn(self.vocabulary, self.size, **make) / self.size**0.5).to(dtype).requires_grad_()
        self.targets = torch.randint(self.vocabulary, (self.rows,), **make)
        self.logits = torch.empty(self.rows, self.vocabulary, dtype=dtype, device=self.device)

    def both_ways(self, head: Head) -> Callable[[], Any]:
        """Forward and backward."""
        return lambda: torch.autograd.grad(head(self.hidden, self.weight, self.targets), (self.hidden, self.weight))

    @torch.no_grad()
    def forward(self, head: Head) -> None:
        """Scoring alone."""
        head(self.hidden, self.weight, self.targets)

    @torch.no_grad()
    def products(self) -> None:
        """The floor: logits, logits again, both gradients."""
        for _ in range(2):
            torch.mm(self.hidden, self.weight.T, out=self.logits)
        torch.mm(self.logits, self.weight)
        torch.mm(self.logits.T, self.hidden)

    @torch.no_grad()
    def product(self) -> None:
        """The floor of a forward pass."""
        torch.mm(self.hidden, self.weight.T, out=self.logits)

    def seconds(self, work: Callable[[], Any]) -> float:
        """Device time on CUDA, wall time elsewhere."""
        if self.device.type == "cuda":
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            stop.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(stop)) / 1e3
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def workspace(self, work: Callable[[], Any]) -> int:
        """Peak bytes of a run beyond what was there before and the two gradients."""
        gradients = sum(x.numel() * x.element_size() for x in (self.hidden, self.weight))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            work()
            return torch.cuda.max_memory_allocated() - before - gradients
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory starts again from here
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before - gradients


def _status(key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measure(text: str, device: str, runs: int) -> list[dict[str, Any]]:
    """One row a contender of this shape."""
    shape, found = Shape(text, device), heads(device)
    works: dict[str, Callable[[], Any]] = {"floor": shape.products}
    works |= {name: shape.both_ways(head) for name, head in found.items()}
    works["floor_forward"] = shape.product
    works |= {f"{name}_forward": lambda head=head: shape.forward(head) for name, head in found.items() if _scores(name)}
    workspace = {name: shape.workspace(work) for name, work in works.items()}  # warms up too
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            times[name].append(shape.seconds(work))
    operations = 2 * shape.rows * shape.size * shape.vocabulary
    rows = []
    for name, values in times.items():
        forward = name.endswith("_forward")
        median = statistics.median(values)
        floor = statistics.median(times["floor_forward" if forward else "floor"])
        rows.append({
            "shape": text, "dtype": str(shape.hidden.dtype).removeprefix("torch."), "name": name,
            "ms": round(median * 1e3, 3), "least_ms": round(min(values) * 1e3, 3),
            "tflops": round((1 if forward else 3) * operations / median / 1e12, 3),
            "over_floor": round(median / floor, 3), "workspace_mib": round(max(0, workspace[name]) / 2**20),
            "all_ms": [round(x * 1e3, 3) for x in values],
        })  # fmt: skip
    return rows


def _scores(name: str) -> bool:
    return name in ("ours", "naive", "reference")


def table(rows: list[dict[str, Any]]) -> str:
    """The figures for people."""
    lines = [f"{'R,H,V':>18} {'':22} {'ms':>9} {'TFLOP/s':>8} {'/floor':>7} {'MiB':>6}"]
    lines += [
        f"{r['shape']:>18} {r['name']:22} {r['ms']:9.2f} {r['tflops']:8.3f} {r['over_floor']:7.2f}"
        f" {r['workspace_mib']:6d}"
        for r in rows
    ]
    return "\n".join(lines)


def where(device: str) -> dict[str, Any]:
    """The machine and the versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else model[1] if model else platform.machine(),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version(),
        "commit": os.environ.get("KAT_COMMIT") or git.stdout.strip() or "unknown",
    }  # fmt: skip


def main() -> None:
    """Print the figures; with --json also keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", action="append", help="R,H,V; repeated for several")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for text in options.shape or SHAPES[options.device]:
        rows += measure(text, options.device, options.runs)
    found = where(options.device) | {"load": os.getloadavg()[0], "rows": rows}
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
