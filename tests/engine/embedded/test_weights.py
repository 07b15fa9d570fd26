"""Weights that come as tensors: damaged, doubled, partial and foreign ones change nothing; memory given away."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from katcore.engine import tensors as packing
from katcore.engine.embedded.model import Model
from katcore.engine.embedded.weights import Parked, check, decode, overwrite
from katcore.errors import EngineError, InputError
from tests.support.tiny_models import Folder


def state(model: Model) -> dict[str, torch.Tensor]:
    return {name: part.clone() for name, part in model.network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_what_is_packed_comes_out_again_with_its_checksum(model_folder: Folder, monkeypatch: Any) -> None:
    monkeypatch.setattr(packing, "_PAYLOAD_BYTES", 200_000)
    given = load_file(model_folder() / "model.safetensors")
    body = packing.safetensors_body(given)
    payloads = [base64.b64decode(text) for text in body["serialized_named_tensors"]]
    assert len(payloads) > 1 and body["load_format"] == "safetensors"
    assert same(decode(payloads, body["checksums"]), given)
    damaged = payloads[1][:-1] + bytes([payloads[1][-1] ^ 1])
    with pytest.raises(InputError, match=r"payload 1: its checksum differs"):
        decode([payloads[0], damaged, *payloads[2:]], body["checksums"])
    with pytest.raises(InputError, match="comes twice"):
        decode([payloads[0], payloads[0]], [body["checksums"][0]] * 2)
    with pytest.raises(InputError, match="checksums"):
        decode(payloads, [])
    with pytest.raises(InputError, match="not in safetensors format"):
        decode([b"junk"], [hashlib.sha256(b"junk").hexdigest()])


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    payload = b"cos\nsystem\n(S'touch " + str(flag).encode() + b"'\ntR."
    with pytest.raises(InputError, match="safetensors"):
        decode([payload], [hashlib.sha256(payload).hexdigest()])
    assert not flag.exists()


def test_tied_weights_are_one(model_folder: Folder) -> None:
    model = Model(str(model_folder()))
    given = load_file(model_folder(seed=1) / "model.safetensors")
    assert "lm_head.weight" not in given and "lm_head.weight" in model.network.state_dict()
    check(model.network, given)
    check(model.network, given | {"lm_head.weight": given["model.embed_tokens.weight"]})
    overwrite(model.network, {name: tensor.double() for name, tensor in given.items()})
    assert same(state(model), state(Model(str(model_folder(seed=1)))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model.norm.weight": None}, r"partial update: model\.norm\.weight is missing \(1 of"),
        ({"model.norm.weight": torch.ones(31)}, r"float32\[31\], the model's is float32\[32\]"),
        ({"model.norm.weight": torch.ones(32, dtype=torch.int64)}, r"int64\[32\]"),
        ({"extra": torch.ones(2)}, "extra is no weight"),
    ],
)
def test_what_is_not_the_whole_model_is_refused(model_folder: Folder, change: dict[str, Any], words: str) -> None:
    model = Model(str(model_folder()))
    given = load_file(model_folder(seed=1) / "model.safetensors") | change
    with pytest.raises(InputError, match=words):
        check(model.network, {name: tensor for name, tensor in given.items() if tensor is not None})


def test_names_are_mapped() -> None:
    tensors = {"module.a": torch.ones(1), "b": torch.zeros(1)}
    assert packing.renamed(tensors, {"module.a": "a"}).keys() == {"a", "b"}
    with pytest.raises(InputError, match="two tensors are called b"):
        packing.renamed(tensors, {"module.a": "b"})
    with pytest.raises(InputError, match="no tensor c"):
        packing.renamed(tensors, {"c": "d"})


def test_a_folder_that_is_elsewhere_says_nothing_about_completeness(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot tell"):
        packing.check_whole({"a": torch.ones(1)}, str(tmp_path))


def test_memory_is_given_away_and_comes_back(model_folder: Folder, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = Model(str(model_folder()))
    before = state(model)
    parked = Parked(model.network)
    assert sum(part.numel() for part in model.network.parameters()) == 0
    (folder,) = tmp_path.iterdir()
    assert sum(file.stat().st_size for file in folder.iterdir()) > 4 * sum(
        part.numel() for name, part in before.items() if name != "lm_head.weight"
    )
    parked.put_back()
    assert same(state(model), before) and list(tmp_path.iterdir()) == []
    assert model.network.lm_head.weight is model.network.model.embed_tokens.weight
