"""Compile the tree attention kernels for GPUs that are not here: to SASS, with registers, spills and shared memory.

In: nothing but the code; needs triton, and for --fa4 flash-attn-4 with its dependencies, but no GPU and no driver.
Out: a line per kernel and launch configuration; exit 1 when a tile size of `triton_backend` has no configuration that
fits its GPU. Nothing is run: whether results are right is for `tests/kernels`, how fast for `tree_attention.py` beside
this file.

    python benchmarks/gpu/compile_tree_attention.py [--quick] [--json FILE]
    python benchmarks/gpu/compile_tree_attention.py --fa4 [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

SHARED = {80: 163 * 1024, 90: 227 * 1024}  # bytes that one program may have (CUDA C++ programming guide, table of
# compute capabilities)
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
SCALARS = {"scale": "fp32", "factor": "fp32"}


def signature(kernel: Any, dtype: torch.dtype) -> tuple[dict[str, str], dict[tuple[int, ...], list[list[Any]]]]:
    """Triton's type of each argument, and which are multiples of 16 (pointers: torch aligns them)."""
    types, aligned = {}, {}
    for at, name in enumerate(kernel.arg_names):
        if name.isupper():
            types[name] = "constexpr"
        elif name in ("q", "k", "v", "out", "d_out", "d_q", "d_k", "d_v"):
            types[name] = f"*{TYPES[dtype]}"
        elif name in ("lse", "delta"):
            types[name] = "*fp32"
        elif name in ("end", "depth") or name.endswith(("_count", "_index")):
            types[name] = "*i32"
        else:
            types[name] = SCALARS.get(name, "i32")
        if types[name].startswith("*"):
            aligned[at,] = [["tt.divisibility", 16]]
    return types, aligned


def compiled(
    name: str, tiles: tuple[int, int], capability: int, dtype: torch.dtype, head_size: int, window: bool, launch: Any
) -> dict[str, Any]:
    """What one kernel needs in one launch configuration, 32 query heads on 8 key heads."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from katkernels.tree_attention import triton_backend, triton_kernel

    kernel = getattr(triton_kernel, name)
    types, aligned = signature(kernel, dtype)
    constants = {
        "HEADS": 32, "KV_HEADS": 8, "D": head_size, "M": tiles[0], "N": tiles[1], "WINDOW": window,
        "PRECISION": triton_backend.precision(head_size),
    }  # fmt: skip
    source = ASTSource(kernel, types, constants, aligned)
    started = time.perf_counter()
    result = triton.compile(
        source,
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": launch.num_warps, "num_stages": launch.num_stages},
    )
    seconds = time.perf_counter() - started
    registers, spilled = resources(result.asm["cubin"])
    return {
        "kernel": name, "sm": capability, "dtype": TYPES[dtype], "head_size": head_size, "window": window,
        "tile": list(tiles), "warps": launch.num_warps, "stages": launch.num_stages, "registers": registers,
        "spilled_bytes": spilled, "shared_bytes": result.metadata.shared, "seconds": round(seconds, 2),
        "fits": result.metadata.shared <= SHARED[capability],
    }  # fmt: skip


def resources(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread and its bytes of local memory, which are spilled registers here."""
    import triton

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", text.stdout)
    assert found, text.stdout
    return int(found[1]), int(found[2])


def compile_triton(quick: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Every tile size of the backend; the rows, and the cases in which no configuration fits."""
    from katkernels.tree_attention import triton_backend

    rows, misfits = [], []
    for (architecture, size, head_size), tiles in triton_backend.TILES.items():
        if quick and (size, head_size) != (2, 128):
            continue
        dtype = torch.bfloat16 if size == 2 else torch.float32
        for name in ("forward", "d_q", "d_kv"):
            launches = triton_backend.LAUNCHES[:1] if quick else triton_backend.LAUNCHES
            case = [
                compiled(f"{name}_kernel", getattr(tiles, name), architecture, dtype, head_size, window, launch)
                for launch in launches
                for window in (False, True)
                if not window or (launch is launches[0] and not quick)
            ]
            for row in case:
                print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            rows += case
            if not any(row["fits"] for row in case):
                misfits.append(f"{name} sm_{architecture} {TYPES[dtype]} {head_size}")
    return rows, misfits


def compile_fa4(quick: bool) -> list[dict[str, Any]]:
    """FlashAttention-4 for sm_90a with our mask and lists, forward and backward, through tensors without storage."""
    os.environ.update(FLASH_ATTENTION_ARCH="sm_90", CUTE_DSL_ARCH="sm_90a", FLASH_ATTENTION_NUM_SMS="132")
    from katkernels.tree_attention import fa4

    cases = [(128, False, 32, 8)] if quick else [(d, w, 32, 8) for d in fa4.TILES for w in (False, True)]
    rows = []
    for head_size, window, heads, kv_heads in cases:
        started = time.perf_counter()
        _compile_fa4_case(head_size, window, heads, kv_heads)
        row = {"kernel": "fa4", "head_size": head_size, "window": window, "heads": f"{heads}:{kv_heads}"}
        rows.append(row | {"seconds": round(time.perf_counter() - started, 1)})
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def _compile_fa4_case(head_size: int, window: bool, heads: int, kv_heads: int) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    from katkernels.tree_attention import fa4
    from katkernels.tree_attention.check import check_plan

    interface, block_sparsity, masks = fa4.modules()
    plan = check_plan(torch.device("cpu"), window)
    made = fa4.arguments(plan, head_size, block_sparsity.BlockSparseTensorsTorch)
    mask = {"mask_mod": masks.windowed_mask if window else masks.interval_mask}
    with FakeTensorMode():
        forward, backward = (_elsewhere(made[x]) for x in ("block_sparse_tensors", "block_sparse_tensors_bwd"))
        mask["aux_tensors"] = [_elsewhere(x) for x in made["aux_tensors"]]
        q = torch.empty(1, plan.queries, heads, head_size, device="cuda", dtype=torch.bfloat16)
        k = torch.empty(1, plan.q_offset + plan.queries, kv_heads, head_size, device="cuda", dtype=torch.bfloat16)
        out, lse, *_ = interface._flash_attn_fwd(q, k, k, block_sparse_tensors=forward, return_lse=True, **mask)
        interface._flash_attn_bwd(q, k, k, out, out, lse, block_sparse_tensors=backward, **mask)


def _elsewhere(value: Any) -> Any:
    """Tensors of the same shapes on a GPU, without storage."""
    if isinstance(value, torch.Tensor):
        return torch.empty(value.shape, dtype=value.dtype, device="cuda")
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return type(value)(*map(_elsewhere, value))
    return value


def main() -> int:
    """Compile, print, and say by the exit code whether all fits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fa4", action="store_true", help="FlashAttention-4's kernels in place of ours")
    parser.add_argument("--quick", action="store_true", help="bf16, head size 128, no window, one launch configuration")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    rows, misfits = (compile_fa4(options.quick), []) if options.fa4 else compile_triton(options.quick)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    for misfit in misfits:
        print(f"no configuration fits: {misfit}", file=sys.stderr)
    return 1 if misfits else 0


if __name__ == "__main__":
    sys.exit(main())
