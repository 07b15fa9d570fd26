"""Where a model's weights lie and in which floating type: as people name them, and as torch does.

In: a device and a dtype, `auto` for what suits the machine. Out: torch's own, once a model is loaded: importing this
imports no torch. Training has a switch of its own (`kat-train --dtype`), since its master weights stay in float32.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from katcore.errors import UsageError
from katcore.options.placement import DtypeName

if TYPE_CHECKING:
    import torch

DTYPES = get_args(DtypeName)


@dataclass(frozen=True)
class Placement:
    """`device`: auto (the first CUDA device, else the CPU), cpu, cuda or cuda:N. UsageError for any other.

    `dtype`: auto (bfloat16 on an accelerator, float32 on a CPU), float32 or bfloat16.
    """

    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"no such device: {self.device!r}", hint="a device is auto, cpu, cuda or cuda:N")
        if self.dtype not in DTYPES:
            raise UsageError(f"no such dtype: {self.dtype!r}", hint=f"a dtype is {', '.join(DTYPES)}")

    def resolve(self) -> tuple[torch.device, torch.dtype]:
        """What torch calls them here. UsageError for a CUDA device that is not there."""
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        device = torch.device(("cuda" if count else "cpu") if self.device == "auto" else self.device)
        if device.type == "cuda" and not count:
            raise UsageError("no CUDA device", hint="device auto or cpu runs without one")
        if device.type == "cuda" and (device.index or 0) >= count:
            raise UsageError(f"no CUDA device {device.index}: there are {count}, counted from 0")
        if self.dtype == "auto":
            return device, torch.bfloat16 if device.type == "cuda" else torch.float32
        return device, torch.bfloat16 if self.dtype == "bfloat16" else torch.float32


AUTO = Placement()
