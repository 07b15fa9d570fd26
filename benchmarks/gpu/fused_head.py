"""The output layer on a GPU: KAT's `fold` against all logits, Liger, torch's chunked loss and the four bare products.

    scripts/from-source python3 benchmarks/gpu/fused_head.py [--quick] [--json FILE]

Needs a CUDA device and bf16; METHOD.md says how it is measured.
Shapes R,H,V in bf16: 4096,4096,151936 is the one that goals are set for; without --quick also fewer and more rows and
another vocabulary. Then the same shape with tiles of 64 MiB to 1 GiB, which is how TILE_BYTES should be chosen, and
what the two Triton kernels alone take, in bytes a second. Measuring is `benchmarks/linear_logprob.py`'s.
"""

from __future__ import annotations

import argparse
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor

from benchmarks.linear_logprob import Shape, measure, table, where
from katkernels.linear_logprob import fold
from katkernels.linear_logprob.fold_kernel import fold_tile, logit_gradient

GOAL = "4096,4096,151936"
MORE = ["1024,4096,151936", "16384,4096,151936", "4096,4096,128256", "8192,2048,262144"]


def tile_sizes(text: str, runs: int) -> list[dict[str, Any]]:
    """Milliseconds forward and both ways for each tile size, interleaved."""
    shape = Shape(text, "cuda")
    row = torch.arange(shape.rows, device=shape.device)
    works = {}
    for mib in (64, 128, 256, 512, 1024):

        def head(h: Tensor, w: Tensor, t: Tensor, tile_bytes: int = mib << 20) -> Tensor:
            return -fold.logprob_fold(h, w, t, row, 1.0, tile_bytes)[0].sum()

        works[mib] = (partial(shape.forward, head), shape.both_ways(head))
    times: dict[tuple[int, int], list[float]] = {}
    for run in range(runs + 1):
        for mib, both in works.items():
            for i, work in enumerate(both):
                seconds = shape.seconds(work)
                if run:  # the first warms up
                    times.setdefault((mib, i), []).append(seconds * 1e3)
    return [
        {
            "tile_mib": mib, "columns": fold.tile_width(shape.rows, shape.vocabulary, 4, mib << 20),
            "forward_ms": round(statistics.median(times[mib, 0]), 3),
            "both_ms": round(statistics.median(times[mib, 1]), 3), "all_ms": [times[mib, 0], times[mib, 1]],
        }
        for mib in works
    ]  # fmt: skip


def kernels_alone(rows: int, columns: int, runs: int) -> list[dict[str, Any]]:
    """The fold and the gradient kernel on one tile; bytes read and written over seconds."""
    z = torch.randn(rows, columns, device="cuda")
    dz = torch.empty_like(z, dtype=torch.bfloat16)
    high, total, weighted, normaliser, g_row = torch.ones(5, rows, device="cuda").unbind()
    bounds, targets = torch.arange(rows + 1, device="cuda"), torch.randint(columns, (rows,), device="cuda")
    logit, block = torch.empty(rows, device="cuda"), 4096

    def folded() -> None:
        fold_tile[(rows,)](z, high, total, weighted, bounds, targets, logit, 0, columns, BLOCK=block, num_warps=8)

    def gradient() -> None:
        logit_gradient[(rows, triton.cdiv(columns, block))](
            z, dz, normaliser, normaliser, g_row, None, bounds, targets, g_row, 0, columns,
            ENTROPY=False, BLOCK=block, num_warps=8,
        )  # fmt: skip

    found = []
    for name, work, size in (("fold_tile", folded, 4), ("logit_gradient", gradient, 6)):
        ms = triton.testing.do_bench(work, warmup=25, rep=20 * runs, return_mode="median")
        rate = rows * columns * size / ms / 1e6
        found.append({"kernel": name, "tile": [rows, columns], "ms": round(ms, 4), "gb_per_s": round(rate)})
    return found


def main() -> None:
    """Print the figures; with --json also keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the goal's shape alone, fewer runs: about a minute")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = 9 if options.quick else 25
    rows = []
    for text in [GOAL] if options.quick else [GOAL, *MORE]:
        rows += measure(text, "cuda", runs)
        torch.cuda.empty_cache()
    tiles = tile_sizes(GOAL, 5 if options.quick else 15)
    kernels = kernels_alone(4096, 15_360, runs)
    print(table(rows))
    for found in tiles + kernels:
        print("  ".join(f"{key} {value}" for key, value in found.items() if key != "all_ms"))
    if options.json:
        result = where("cuda") | {"rows": rows, "tile_sizes": tiles, "kernels": kernels}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
