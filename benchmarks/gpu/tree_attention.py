"""How fast tree attention is, beside FlexAttention and beside attention over every path apart.

    python benchmarks/gpu/tree_attention.py [--quick] [--packs FILE] [--json FILE] [--device cpu]

Rows: synthetic agent trees (turns, of which some fork off a recent ancestor turn) of 8k to 64k tokens at POR 0, 0.3,
0.6 and 0.85, and the largest packs of a kat.pack file. 32 query heads on 8 key heads, bf16. Columns: milliseconds
forward and backward (medians of interleaved rounds, CUDA events, after a warm-up that includes compilation and the
check against the reference); TFLOP/s over the pairs that are seen (2 products forward, 5 backward) and over all tiles
that are computed, with the products that the kernel really does; the share of computed pairs that are seen.

Peers work on the linearised paths, every prefix repeated: `flat varlen` is torch's variable-length FlashAttention,
`flat fa4` FlashAttention-4's, `flat sdpa` one SDPA call a path. Their TFLOP/s are over the repeated pairs; their
milliseconds are what to compare with. `--device cpu` runs the same code at tiny sizes, for a test.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from katcore.errors import KatError
from katkernels.tree_attention import AttentionPlan, check_backend, make_plan
from katkernels.tree_attention.backends import attend, installed
from katkernels.tree_attention.segments import LONGEST, Run

PORS = (0.0, 0.3, 0.6, 0.85)
BACKENDS = ("fa4", "triton", "flex", "segments")


@dataclass(frozen=True)
class Case:
    """One forest and one model shape."""

    name: str
    end: Tensor  # [N]
    paths: list[Tensor]  # the tokens of each root-to-leaf path
    heads: int
    kv_heads: int
    head_size: int

    @property
    def flat_tokens(self) -> int:
        """Tokens of all paths, prefixes repeated."""
        return sum(map(len, self.paths))

    @property
    def por(self) -> float:
        """Share of the flat tokens that the tree does not repeat."""
        return 1 - len(self.end) / self.flat_tokens

    def flops(self, pairs: float, products: float) -> float:
        """FLOPs of so many matrix products over query-key pairs."""
        return 2.0 * pairs * products * self.heads * self.head_size


@dataclass(frozen=True)
class Work:
    """One way to compute a case: the inputs, the call, and what it computes."""

    name: str
    inputs: list[Tensor]  # q, k, v
    call: Callable[[Tensor, Tensor, Tensor], Tensor]
    seen_pairs: int
    forward_flops: float  # on computed tiles
    backward_flops: float


# --------------------------------------------------------------------------------------------------------- forests


def synthetic(tokens: int, por: float, seed: int = 0) -> Tensor:
    """`end` of a tree of so many tokens whose POR is as near as turns allow: trials over how often a turn forks."""
    end = torch.full((tokens,), tokens)
    if por == 0:
        return end
    rates = [0.9 * 0.93**n for n in range(80)]
    trials = [_forks(tokens, rate, random.Random(f"{seed} {rate} {again}")) for rate in rates for again in range(10)]
    forks, _ = min(trials, key=lambda trial: abs(1 - tokens / trial[1] - por))
    for start, stop in forks:
        end[start:stop].clamp_(max=stop)
    return end


def _forks(tokens: int, rate: float, rng: random.Random) -> tuple[list[tuple[int, int]], int]:
    """Ranges of tokens that a fork closes, and the tokens of all paths.

    Turns are 1/128 to 3/128 of the row long; with probability `rate` one forks off a turn a few above the last.
    """
    turn = max(2, tokens // 128)
    forks: list[tuple[int, int]] = []
    path: list[tuple[int, int]] = []  # start and length of the open turns
    at = flat = 0
    while at < tokens:
        if len(path) > 2 and rng.random() < rate:
            back = min(1 + int(rng.expovariate(0.3)), len(path) - 1)
            flat += sum(size for _, size in path)
            forks.append((path[-back][0], at))
            del path[-back:]
        path.append((at, min(rng.randint(turn, 3 * turn), tokens - at)))
        at += path[-1][1]
    return forks, flat + sum(size for _, size in path)


def leaves(end: Tensor) -> Tensor:
    """The last token of each path."""
    return torch.nonzero(end == torch.arange(len(end)) + 1)[:, 0]


def depths(end: Tensor) -> Tensor:
    """Each token's position on its path: the subtrees that are open before it."""
    closed = torch.bincount(end, minlength=len(end) + 1)[: len(end)].cumsum(0)
    return torch.arange(len(end)) - closed


def path_of(end: Tensor, leaf: int) -> Tensor:
    """The tokens above a leaf and itself."""
    return torch.nonzero(end[: leaf + 1] > leaf)[:, 0]


def pack_ends(file: Path, most: int) -> Iterator[tuple[str, Tensor]]:
    """The largest packs of a kat.pack stream."""
    from katcore.records import Pack
    from katcore.streams import read_records

    packs = [line.record for line in read_records([file], kinds=(Pack,)) if isinstance(line.record, Pack)]
    for pack in sorted(packs, key=lambda pack: -len(pack.tokens))[:most]:
        yield f"pack {pack.id}", torch.tensor(list(pack.end))


# ------------------------------------------------------------------------------------------------------ what is timed


def works(case: Case, device: torch.device, dtype: torch.dtype, backends: tuple[str, ...]) -> Iterator[Work | str]:
    """Each backend and peer that can run; for the others a line that says why not."""
    plan = make_plan(case.end.to(device), len(case.end))
    inputs = _inputs(case, len(case.end), device, dtype)
    for backend in backends:
        try:
            check_backend(backend, case.head_size, dtype, device)
        except KatError as error:
            yield f"{backend}: {error}"
            continue
        yield _tree_work(backend, case, plan, inputs)
    flat = _inputs(case, case.flat_tokens, device, dtype)
    yield from _flat_works(case, flat, device)


def _inputs(case: Case, tokens: int, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    shapes = [(tokens, heads, case.head_size) for heads in (case.heads, case.kv_heads, case.kv_heads)]
    return [torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for shape in shapes]


def _tree_work(backend: str, case: Case, plan: AttentionPlan, inputs: list[Tensor]) -> Work:
    seen = int((depths(case.end) + 1).sum())
    forward, backward = computed_products(backend, case, plan, inputs[0])
    scale = case.head_size**-0.5
    return Work(
        backend, inputs, lambda q, k, v: attend(backend, q, k, v, plan, scale), seen,
        case.flops(forward, 1), case.flops(backward, 1),
    )  # fmt: skip


def computed_products(backend: str, case: Case, plan: AttentionPlan, q: Tensor) -> tuple[float, float]:
    """Pairs times matrix products that a backend computes, forward and backward, masked ones included."""
    if backend == "triton":
        from katkernels.tree_attention.triton_backend import tiles_for

        tiles = tiles_for(q.device, q.dtype, case.head_size)
        backward = 3 * plan.blocks(*tiles.d_q).pairs + 4 * plan.blocks(*tiles.d_kv).pairs
        return 2 * plan.blocks(*tiles.forward).pairs, backward
    if backend == "fa4":
        from katkernels.tree_attention.fa4 import TILES

        pairs = plan.blocks(*TILES[case.head_size]).pairs
    elif backend == "flex":
        return 2 * plan.blocks(128, 128).pairs, 7 * plan.blocks(128, 128).pairs  # d_q and d_k, d_v apart, as in triton
    elif backend == "segments":
        pairs = sum(_run_pairs(run) for run in plan.segments.runs)
    else:
        pairs = plan.queries * plan.keys
    return 2 * pairs, 5 * pairs


def _run_pairs(run: Run) -> int:
    """Pairs of a run's calls: the lower half of a chain at the root, else each call's queries by all its keys."""
    size = run.stop - run.start
    if run.chain and run.above == 0:
        return size * (size + 1) // 2
    ends = [*range(LONGEST, size, LONGEST), size]
    return sum((stop - start) * (run.above + stop) for start, stop in pairwise([0, *ends]))


def _flat_works(case: Case, inputs: list[Tensor], device: torch.device) -> Iterator[Work | str]:
    sizes = [len(path) for path in case.paths]
    seen = sum(size * (size + 1) // 2 for size in sizes)
    make = partial(
        Work, inputs=inputs, seen_pairs=seen, forward_flops=case.flops(seen, 2), backward_flops=case.flops(seen, 5)
    )
    yield make(name="flat sdpa", call=partial(_flat_sdpa, sizes))
    if device.type != "cuda":
        yield "flat varlen, flat fa4: FlashAttention runs on CUDA"
        return
    starts = torch.tensor([0, *sizes], device=device).cumsum(0).to(torch.int32)
    yield make(name="flat varlen", call=partial(_flat_varlen, starts, max(sizes)))
    if installed("flash_attn.cute"):
        yield make(name="flat fa4", call=partial(_flat_fa4, starts, max(sizes)))
    else:
        yield "flat fa4: flash-attn-4 is not installed"


def _flat_sdpa(sizes: list[int], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    parts = zip(*(x.split(sizes) for x in (q, k, v)))
    return torch.cat(
        [
            scaled_dot_product_attention(*(x.transpose(0, 1)[None] for x in part), is_causal=True, enable_gqa=True)[0]
            for part in parts
        ],
        1,
    ).transpose(0, 1)


def _flat_varlen(starts: Tensor, longest: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    out = varlen_attn(q, k, v, starts, starts, longest, longest, window_size=(-1, 0), enable_gqa=True)
    assert isinstance(out, Tensor)
    return out


def _flat_fa4(starts: Tensor, longest: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from flash_attn.cute import flash_attn_varlen_func

    out: Tensor = flash_attn_varlen_func(
        q, k, v, cu_seqlens_q=starts, cu_seqlens_k=starts, max_seqlen_q=longest, max_seqlen_k=longest, causal=True
    )[0]
    return out


# ------------------------------------------------------------------------------------------------------------ timing


def measure(case: Case, todo: list[Work], rounds: int) -> list[dict[str, Any]]:
    """Medians over rounds in which all ways take turns."""
    times: dict[str, tuple[list[float], list[float]]] = {work.name: ([], []) for work in todo}
    for turn in range(rounds + 1):
        for work in todo:
            forward, backward = _once(work)
            if turn:  # the first warms up
                times[work.name][0].append(forward)
                times[work.name][1].append(backward)
    return [_row(case, work, *map(statistics.median, times[work.name])) for work in todo]


def _once(work: Work) -> tuple[float, float]:
    """Seconds of one forward and of one backward."""
    out: list[Tensor] = []
    forward = _seconds(work.inputs[0].device, lambda: out.append(work.call(*work.inputs)))
    upstream = torch.ones_like(out[0])
    backward = _seconds(work.inputs[0].device, lambda: torch.autograd.grad(out[0], work.inputs, upstream))
    return forward, backward


def _seconds(device: torch.device, call: Callable[[], object]) -> float:
    if device.type != "cuda":
        started = time.perf_counter()
        call()
        return time.perf_counter() - started
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    call()
    stop.record()
    torch.cuda.synchronize()
    return start.elapsed_time(stop) / 1e3


def _row(case: Case, work: Work, forward: float, backward: float) -> dict[str, Any]:
    seen_forward, seen_backward = case.flops(work.seen_pairs, 2), case.flops(work.seen_pairs, 5)
    return {
        "case": case.name, "tokens": len(case.end), "flat_tokens": case.flat_tokens, "por": round(case.por, 3),
        "heads": f"{case.heads}:{case.kv_heads}", "head_size": case.head_size, "backend": work.name,
        "forward_ms": round(forward * 1e3, 4), "backward_ms": round(backward * 1e3, 4),
        "forward_tflops": round(seen_forward / forward / 1e12, 2),
        "backward_tflops": round(seen_backward / backward / 1e12, 2),
        "forward_tile_tflops": round(work.forward_flops / forward / 1e12, 2),
        "backward_tile_tflops": round(work.backward_flops / backward / 1e12, 2),
        "tile_efficiency": round(seen_forward / work.forward_flops, 3),
    }  # fmt: skip


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """What the options ask for."""
    tiny = options.device == "cpu"
    lengths = [256] if tiny else [16384] if options.quick else [8192, 16384, 32768, 65536]
    sizes = [16] if tiny else [128] if options.quick else [64, 128]
    heads, kv_heads = (4, 1) if tiny else (32, 8)
    ends = [(f"synthetic {por}", synthetic(length, por)) for length in lengths for por in PORS]
    if options.packs:
        ends += pack_ends(options.packs, 1 if options.quick else 4)
    for head_size in sizes:
        for name, end in ends:
            paths = [path_of(end, leaf) for leaf in leaves(end).tolist()]
            yield Case(name, end, paths, heads, kv_heads, head_size)


def main() -> int:
    """Run and print; exit 1 when no backend could run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="16k tokens and head size 128: under two minutes")
    parser.add_argument("--packs", type=Path, help="a kat.pack file, whose largest packs are timed too")
    parser.add_argument("--rounds", type=int, default=0, help="interleaved rounds (default: 10; 5 with --quick)")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    options = parser.parse_args()
    device = torch.device(options.device)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    backends = ("reference", "segments") if device.type == "cpu" else BACKENDS
    rows, said = [], set()
    for case in cases(options):
        todo = []
        for work in works(case, device, dtype, backends):
            if isinstance(work, Work):
                todo.append(work)
            elif work not in said:
                said.add(work)
                print(f"not run: {work}", file=sys.stderr)
        for row in measure(case, todo, options.rounds or (5 if options.quick else 10)):
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(device), "rows": rows}, indent=1) + "\n")
    return 0 if rows else 1


def machine(device: torch.device) -> dict[str, str]:
    """Where and with what these figures were taken."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"device": name, "torch": torch.__version__, "commit": commit.stdout.strip()}


if __name__ == "__main__":
    sys.exit(main())
