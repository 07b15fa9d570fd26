"""Weights of the embedded engine from tensors: checked as a whole before the first one is touched; and letting go.

In: safetensors payloads with a checksum each, over HTTP. Out: the model's parameters, overwritten in place, or
InputError and not one of them changed. Weights from a folder are `model.py`'s.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from katcore.errors import InputError


def decode(payloads: Sequence[bytes], checksums: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of all payloads; InputError for a checksum (SHA-256) that differs and a name that comes twice."""
    if len(payloads) != len(checksums):
        raise InputError(f"{len(payloads)} payloads and {len(checksums)} checksums")
    tensors: dict[str, Tensor] = {}
    for number, (payload, checksum) in enumerate(zip(payloads, checksums)):
        if hashlib.sha256(payload).hexdigest() != checksum:
            raise InputError(f"payload {number}: its checksum differs, so it was damaged on its way")
        try:
            part = load(payload)
        except (SafetensorError, ValueError) as reason:
            raise InputError(f"payload {number} is not in safetensors format: {reason}") from None
        twice = sorted(tensors.keys() & part.keys())
        if twice:
            raise InputError(f"{twice[0]} comes twice")
        tensors |= part
    return tensors


def check(network: Any, tensors: Mapping[str, Tensor]) -> None:
    """InputError unless `tensors` are all of the network's weights and nothing else, shape by shape.

    Of weights that share memory (tied embeddings) one is enough. Other floating types are cast to the network's.
    """
    wanted: dict[str, Tensor] = network.state_dict()
    unknown = sorted(tensors.keys() - wanted.keys())
    if unknown:
        raise InputError(f"{unknown[0]} is no weight of this model")
    given = {wanted[name].data_ptr() for name in tensors}
    missing = sorted(name for name in wanted.keys() - tensors.keys() if wanted[name].data_ptr() not in given)
    if missing:
        raise InputError(f"a partial update: {missing[0]} is missing ({len(missing)} of {len(wanted)} weights are)")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or tensor.is_floating_point() != wanted[name].is_floating_point():
            raise InputError(f"{name} is {_kind(tensor)}, the model's is {_kind(wanted[name])}")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def overwrite(network: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put checked tensors into the network."""
    weights: dict[str, Tensor] = network.state_dict()
    for name, tensor in tensors.items():
        weights[name].copy_(tensor)


class Parked:
    """A network's weights while its memory is lent to somebody else: in host memory, or on a CPU in a file."""

    def __init__(self, network: Any) -> None:
        """Take the weights out of the network; it must not run until `put_back`."""
        self._network = network
        self._parts = _parts(network)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._host: dict[str, Tensor] = {}
        if any(part.device.type == "cpu" for part in self._parts.values()):
            self._folder = tempfile.TemporaryDirectory(prefix="kat-weights-")
            save_file({name: part.detach().contiguous() for name, part in self._parts.items()}, self._file())
        else:
            self._host = {name: part.detach().to("cpu") for name, part in self._parts.items()}
        for part in self._parts.values():
            part.data = part.data.new_empty(0)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def put_back(self) -> None:
        """The weights as they were."""
        kept = load_file(self._file()) if self._folder is not None else self._host
        for name, part in self._parts.items():
            part.data = kept[name].to(part.device)
        self.drop()

    def drop(self) -> None:
        """Forget them: others have come."""
        self._host = {}
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _file(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "weights.safetensors"


def _parts(network: Any) -> dict[str, Tensor]:
    """Parameters, each once however often it is shared. Buffers stay: they are small and not all are saved."""
    return dict(network.named_parameters(remove_duplicate=True))
