"""Compile the Triton kernels of the fused head for a GPU that is not here: to PTX, and to machine code with its ptxas.

    python tests/support/compile_linear_logprob.py [--sm 90]     one JSON line a kernel; needs triton, no GPU, no driver

A further kernel is one line in KERNELS; those of tree attention, with a tile size for each GPU and head size, are in
`benchmarks/gpu/compile_tree_attention.py`. What this shows: the kernel is accepted by the whole compiler, with the
types and alignments of a real launch, and how many registers and spilled bytes it takes. Not: that it is right or fast.
TRITON_INTERPRET must be unset, since an interpreted kernel has nothing to compile.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

FOLD = "katkernels.linear_logprob.fold_kernel"


class Kernel(NamedTuple):
    """A kernel, the types of its run-time arguments in order (`-`: None), its constants and its warps."""

    module: str
    name: str
    types: str
    constants: dict[str, Any]
    warps: int


KERNELS = [
    Kernel(FOLD, "fold_tile", "*fp32 *fp32 *fp32 *fp32 *i64 *i64 *fp32 i32 i32", {"BLOCK": 4096}, 8),
    Kernel(FOLD, "fold_tile", "*fp64 *fp64 *fp64 *fp64 *i64 *i64 *fp64 i32 i32", {"BLOCK": 4096}, 8),
    *(
        Kernel(
            FOLD, "logit_gradient", f"*fp32 *{dz} *fp32 *fp32 *fp32 {e} *i64 *i64 *fp32 i32 i32",
            {"ENTROPY": e != "-", "BLOCK": 4096}, 8,
        )
        for dz in ("bf16", "fp16", "fp32") for e in ("*fp32", "-")
    ),
]  # fmt: skip


def compiled(kernel: Kernel, sm: int) -> dict[str, Any]:
    """Size of the machine code, registers of a thread and bytes that it spills."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(import_module(kernel.module), kernel.name)
    run_time = [name for name in function.arg_names if name not in kernel.constants]
    types = dict(zip(run_time, kernel.types.split(), strict=True))
    signature = {n: types.get(n, "-").replace("-", "constexpr") for n in function.arg_names}
    constants = kernel.constants | {name: None for name, kind in types.items() if kind == "-"}
    # Torch aligns its memory; the columns and the first one of a tile are multiples of 16 too.
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(function.arg_names) if signature[n] != "constexpr"}
    source = ASTSource(function, signature, constants, aligned)
    made = triton.compile(source, target=GPUTarget("cuda", sm, 32), options={"num_warps": kernel.warps})
    registers, stack = _resources(made.asm["cubin"])
    return {
        "kernel": kernel.name, "types": kernel.types, "constants": kernel.constants, "sm": sm,
        "target": re.findall(r"\.target (\w+)", made.asm["ptx"])[0], "bytes": len(made.asm["cubin"]),
        "registers": registers, "spilled": stack, "wide_loads": len(re.findall(r"ld\.global\S*\.v4", made.asm["ptx"])),
    }  # fmt: skip


def _resources(cubin: bytes) -> tuple[int, int]:
    import triton

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        dump = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", dump.stdout)[0]
    return int(registers), int(stack)


def main() -> None:
    """One line for each of KERNELS."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sm", type=int, default=90)
    options = parser.parse_args()
    for kernel in KERNELS:
        print(json.dumps(compiled(kernel, options.sm)), flush=True)


if __name__ == "__main__":
    main()
