"""A model folder is loaded whole or not at all: by training, by the embedded engine, by the commands over both."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from katcore.engine.embedded.model import Model
from katcore.errors import InputError
from katcore.model.tree_lm import TreeLM
from katcore.model.weight_files import check_files
from katcore.records import encode
from katcore.train.init import init
from katcore.train.options import InitOptions
from tests.support.random_packs import make_pack
from tests.support.stage_inputs import task

Tensors = dict[str, Tensor]
QUERY = "model.layers.0.self_attn.q_proj.weight"
DEEPER = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "M"
    init(folder, InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    return folder


def changed(good: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    shutil.copytree(good, folder)
    tensors = change(load_file(good / "model.safetensors"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def without(tensors: Tensors, *names: str) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def with_nan(tensors: Tensors) -> Tensors:
    tensors[QUERY][1, 2] = float("nan")
    return tensors


DAMAGE: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "a tensor is missing": (lambda t: without(t, QUERY), f"{QUERY} is missing"),
    "the embeddings are missing": (lambda t: without(t, "model.embed_tokens.weight"), "lm_head.weight is missing"),
    "all tensors are missing": (lambda t: {"x": t[QUERY]}, "lm_head.weight is missing (the first of"),
    "a tensor too many": (lambda t: t | {"extra.weight": torch.zeros(2)}, "extra.weight is no weight of this model"),
    "a layer too many": (lambda t: t | {DEEPER: t[QUERY].clone()}, f"{DEEPER} is no weight of this model"),
    "another shape": (
        lambda t: t | {QUERY: t[QUERY][:4].clone()},
        f"{QUERY} has shape [4, 32], the model's",
    ),
    "values that are no numbers": (with_nan, f"{QUERY} holds values that are no numbers"),
}


@pytest.mark.parametrize("change, why", DAMAGE.values(), ids=DAMAGE)
def test_tensors_that_do_not_go_with_the_model_are_named(
    change: Callable[[Tensors], Tensors], why: str, good: Path, tmp_path: Path
) -> None:
    folder = changed(good, tmp_path / "M", change)
    for load in (TreeLM.load, lambda where: Model(str(where))):
        with pytest.raises(InputError) as error:
            load(folder)
        assert str(error.value).startswith(f"{folder}: {why}")
    with pytest.raises(InputError, match="M: "):
        Model(str(good)).successor(str(folder))


def test_a_file_that_is_cut_short_is_named_with_the_tensor_in_the_middle_of_which_it_ends(
    good: Path, tmp_path: Path
) -> None:
    check_files(good)
    check_files(tmp_path / "elsewhere")
    whole = (good / "model.safetensors").read_bytes()
    shutil.copytree(good, tmp_path / "M")
    for data in (b"", whole[:4], whole[:100], whole[:-1], whole + b"x", b"\xff" * 64):
        (tmp_path / "M" / "model.safetensors").write_bytes(data)
        for load in (check_files, TreeLM.load, lambda where: Model(str(where))):
            with pytest.raises(InputError, match=r"M/model\.safetensors: .*cut short"):
                load(tmp_path / "M")
    (tmp_path / "M" / "model.safetensors").write_bytes(whole[:-1])
    table = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    last = max(without(table, "__metadata__"), key=lambda name: table[name]["data_offsets"][1])
    with pytest.raises(InputError, match=f"cut short, in the middle of {last}: "):
        check_files(tmp_path / "M")


def test_a_shard_that_is_missing_is_named(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "M")
    tensors = load_file(good / "model.safetensors")
    (tmp_path / "M" / "model.safetensors").rename(tmp_path / "M" / "model-00001-of-00002.safetensors")
    places = dict.fromkeys(tensors, "model-00001-of-00002.safetensors") | {QUERY: "model-00002-of-00002.safetensors"}
    index = {"metadata": {}, "weight_map": places}
    (tmp_path / "M" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"cannot load the model: .*model-00002-of-00002"):
        TreeLM.load(tmp_path / "M")


def test_the_commands_refuse_such_a_folder(good: Path, tmp_path: Path) -> None:
    folder = changed(good, tmp_path / "M", lambda t: without(t, QUERY))
    (tmp_path / "packs.jsonl").write_bytes(encode(make_pack(0)[0]) + b"\n")
    (tmp_path / "tasks.jsonl").write_bytes(encode(task("task-0")) + b"\n")
    for command in (
        ["kat-train", "--objective", "grpo", "--model", "M", "packs.jsonl", "--out", "out"],
        ["kat-distill", "score", "--expert", "e=M", "packs.jsonl"],
        ["kat-rollout", "--engine", "embedded:M", "--model", "M", "tasks.jsonl", "-o", "out.jsonl"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 4, (command, done.stderr)
        assert f"M: {QUERY} is missing" in done.stderr and "Traceback" not in done.stderr
    assert folder.exists() and not (tmp_path / "out.jsonl").exists() and not list((tmp_path / "out").glob("step-*"))
