"""The backends of `tree_attention`: which can take given tensors, and the call of each.

Optional packages (triton, flash-attn-4) are imported when their backend is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from katcore.errors import KatError
from katkernels.tree_attention.chains import attend_chains
from katkernels.tree_attention.plan import AttentionPlan
from katkernels.tree_attention.reference import attend_dense
from katkernels.tree_attention.segments import attend_segments

BACKENDS = ("auto", "reference", "segments", "triton", "flex", "fa4")

_PACKAGES = {"triton": "triton", "flex": "torch", "fa4": "flash_attn.cute"}
_MODULES = {"triton": "triton_backend", "flex": "flex", "fa4": "fa4"}
_HINTS = {"triton": "pip install triton", "fa4": "pip install --pre flash-attn-4, on Linux with a Hopper GPU"}


def installed(package: str) -> bool:
    """Whether a package is there, without running any of it but its parents."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the parent
        return False


def refusal(backend: str, head_size: int, dtype: torch.dtype, device: torch.device) -> str:
    """Why a backend cannot take such tensors here; empty if it can."""
    if backend in ("reference", "segments"):
        return ""
    if not installed(_PACKAGES[backend]):
        return f"{_PACKAGES[backend]} is not installed"
    reason: str = _module(backend).refusal(head_size, dtype, device)
    return reason


def refuse(backend: str, head_size: int, dtype: torch.dtype, device: torch.device) -> None:
    """KatError with a hint when the backend cannot take such tensors here."""
    reason = refusal(backend, head_size, dtype, device)
    if reason:
        hint = _HINTS.get(backend, "") if reason.endswith("is not installed") else "choose another backend, or auto"
        raise KatError(
            f"tree attention backend {backend!r} cannot take head size {head_size}, {dtype} on {device.type}: {reason}",
            hint=hint,
        )


def attend(backend: str, q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float) -> Tensor:
    """q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D] by one backend, unchecked."""
    if not len(q):
        return torch.zeros_like(q)
    if backend == "reference":
        return attend_dense(q, k, v, plan.mask, scale)
    if backend == "segments" and not q.is_cuda and plan.window is None:
        return attend_chains(q, k, v, plan.calls, plan.q_offset, scale)
    if backend == "segments":
        return attend_segments(q, k, v, plan.segments, scale, plan.end, plan.depth, plan.window)
    out: Tensor = getattr(_module(backend), f"attend_{backend}")(q, k, v, plan, scale)
    return out


def candidates(head_size: int, dtype: torch.dtype, device: torch.device) -> list[str]:
    """What `auto` tries, fastest first; the last one takes everything."""
    if device.type != "cuda":
        return ["segments"]
    return [x for x in ("fa4", "triton") if not refusal(x, head_size, dtype, device)] + ["segments"]


def _module(backend: str) -> ModuleType:
    return import_module(f"katkernels.tree_attention.{_MODULES[backend]}")
