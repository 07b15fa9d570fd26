"""The user's DeepSpeed file, with what kat-train itself decides filled in.

In: a JSON file as DeepSpeed documents it, and the trainer's settings. Out: the table that DeepSpeed gets. What is
missing or "auto" is filled in; what contradicts the trainer is one error that names the key. What kat-train has no
opinion on (stages, buckets, offloading, communication) passes through as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from katcore.errors import InputError, UsageError
from katcore.train.options import BETAS, Optimizer

AUTO = "auto"
FOREIGN = {
    "scheduler": "kat-train has --schedule and --warmup",
    "fp16": "kat-train computes in float32 or bfloat16",
    "amp": "kat-train computes in float32 or bfloat16",
    "pipeline": "kat-train does not divide layers between ranks",
    "sequence_parallel_size": "kat-train does not divide sequences between ranks",
    "tensor_parallel": "kat-train does not divide layers between ranks",
}
"""Keys of a DeepSpeed file that are refused, with the reason: kat-train does the same itself, or cannot do it."""


def read_deepspeed(path: Path) -> dict[str, Any]:
    """The file's table. UsageError or InputError when there is none."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--deepspeed {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: not a JSON object")
    return table


def filled(table: dict[str, Any], optimizer: Optimizer, ranks: int, half: bool, hidden: int) -> dict[str, Any]:
    """The whole table for `ranks` processes. `half`: weights in bf16, their master copies in fp32.

    `hidden` is the model's hidden size, from which transformers' users derive the "auto" of three bucket sizes.
    """
    _refuse(table)
    made: dict[str, Any] = json.loads(json.dumps(table))  # a copy
    _fill(made, "", {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1, "train_batch_size": ranks})
    _fill(made, "", {"gradient_clipping": optimizer.grad_clip})
    _fill(made.setdefault("bf16", {}), "bf16.", {"enabled": half})
    if half:
        made.setdefault("data_types", {}).setdefault("grad_accum_dtype", "fp32")
        made.setdefault("communication_data_type", "fp32")
    _optimizer(made, optimizer)
    _zero(made.setdefault("zero_optimization", {}), hidden)
    made.setdefault("steps_per_print", 2**31)
    return made


def _refuse(table: dict[str, Any]) -> None:
    for name, reason in FOREIGN.items():
        value = table.get(name)
        if isinstance(value, dict) and value.get("enabled", name == "scheduler") not in (False, AUTO):
            raise InputError(f"the DeepSpeed file sets {name}: {reason}")
        if isinstance(value, int) and value > 1:
            raise InputError(f"the DeepSpeed file sets {name}: {reason}")


def _fill(table: dict[str, Any], prefix: str, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        given = table.get(name, AUTO)
        if given != AUTO and given != value:
            raise InputError(
                f"the DeepSpeed file says {prefix}{name} = {json.dumps(given)}, kat-train {json.dumps(value)}",
                hint='write "auto" there, and kat-train fills it in',
            )
        table[name] = value


def _optimizer(table: dict[str, Any], wanted: Optimizer) -> None:
    """AdamW with kat-train's numbers: torch's own, or where its states are offloaded DeepSpeed's for CPUs."""
    given = table.setdefault("optimizer", {})
    name = given.setdefault("type", "AdamW")
    if name != "AdamW":
        raise InputError(f"the DeepSpeed file says optimizer.type = {name!r}; kat-train trains with AdamW")
    params = given.setdefault("params", {})
    numbers = {"lr": wanted.lr, "betas": list(BETAS), "eps": 1e-8, "weight_decay": wanted.weight_decay}
    _fill(params, "optimizer.params.", numbers)
    offloaded = (table.get("zero_optimization", {}).get("offload_optimizer") or {}).get("device", "none") != "none"
    params.setdefault("torch_adam", not offloaded)


def _zero(table: dict[str, Any], hidden: int) -> None:
    stage = table.setdefault("stage", 1)
    if stage not in (1, 2, 3):
        raise InputError(f"the DeepSpeed file says zero_optimization.stage = {json.dumps(stage)}; 1, 2 and 3 are there")
    if stage < 3:
        return
    for name, value in (
        ("reduce_bucket_size", hidden * hidden),
        ("stage3_prefetch_bucket_size", int(0.9 * hidden * hidden)),
        ("stage3_param_persistence_threshold", 10 * hidden),
    ):
        if table.get(name) == AUTO:
            table[name] = value
