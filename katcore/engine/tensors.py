"""Weights on their way into an engine as tensors: names mapped, completeness checked, payloads with checksums.

In: a trainer's named tensors. Out: the body of /update_weights_from_tensor, in safetensors for the embedded engine and
in SGLang's own format for SGLang. SGLang loads a partial update without a word, so it is refused here, against the
weights of the folder that the server was started with.
"""

from __future__ import annotations

import base64
import hashlib
import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from katcore.errors import EngineError, InputError

if TYPE_CHECKING:
    from torch import Tensor

_PAYLOAD_BYTES = 1 << 28


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """`tensors` under the engine's names: what `names` maps, and the rest as it is. InputError for a name twice."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        mapped = names.get(name, name)
        if mapped in found:
            raise InputError(f"two tensors are called {mapped}")
        found[mapped] = tensor
    unused = sorted(names.keys() - tensors.keys())
    if unused:
        raise InputError(f"there is no tensor {unused[0]} to rename")
    return found


def safetensors_body(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """For the embedded engine: payloads of at most 256 MiB or one tensor, each with its SHA-256."""
    from safetensors.torch import save

    payloads = [save(bucket) for bucket in _buckets(tensors)]
    return {
        "load_format": "safetensors",
        "serialized_named_tensors": [base64.b64encode(payload).decode() for payload in payloads],
        "checksums": [hashlib.sha256(payload).hexdigest() for payload in payloads],
    }


def sglang_body(tensors: Mapping[str, Tensor], ranks: int) -> dict[str, Any]:
    """For SGLang: a pickled list of (name, tensor), once for every tensor-parallel rank."""
    stream = io.BytesIO()
    named = [(name, tensor) for bucket in _buckets(tensors) for name, tensor in bucket.items()]
    pickle.Pickler(stream, protocol=4).dump(named)
    return {"serialized_named_tensors": [base64.b64encode(stream.getvalue()).decode()] * ranks}


def check_whole(tensors: Mapping[str, Tensor], folder: str) -> None:
    """InputError unless `tensors` are all the weights of a model folder; EngineError when it cannot be read here."""
    wanted = _shapes(folder)
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        raise InputError(f"a partial update: {missing[0]} is missing ({len(missing)} of {len(wanted)} weights are)")
    known = {tensors[name].data_ptr() for name in wanted}
    for name, tensor in tensors.items():
        if name not in wanted and tensor.data_ptr() not in known:  # a tied weight is saved once
            raise InputError(f"{name} is no weight of this model")
        if name in wanted and list(tensor.shape) != wanted[name]:
            raise InputError(f"{name} has shape {list(tensor.shape)}, the model's has {wanted[name]}")


def _shapes(folder: str) -> dict[str, list[int]]:
    from safetensors import safe_open

    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise EngineError(f"cannot tell whether the update is whole: no weights in {folder} on this machine")
    shapes: dict[str, list[int]] = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  (it is no mapping)
                shapes[name] = opened.get_slice(name).get_shape()
    return shapes


def _buckets(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors in host memory, none sharing its own with another."""
    bucket: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if bucket and size + tensor.nbytes > _PAYLOAD_BYTES:
            yield bucket
            bucket, size = {}, 0
        bucket[name] = tensor.detach().to("cpu", copy=True).contiguous()
        size += tensor.nbytes
    if bucket:
        yield bucket
