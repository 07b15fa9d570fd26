"""Device and dtype of the embedded engine: bfloat16 on a CPU end to end, log-probs in float32, clear refusals."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from katcore.engine import SamplingParams
from katcore.engine.embedded.server import EmbeddedServer
from katcore.engine.names import open_engine
from katcore.engine.sglang import SGLangEngine
from katcore.errors import UsageError
from katcore.model.placement import AUTO, Placement
from tests.support.embedded_client import get, post, prompt, use
from tests.support.tiny_models import Folder

HALF = Placement("cpu", "bfloat16")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def half(model_folder: Folder) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(model_folder(), placement=HALF) as running:
        yield running


def logprobs(folder: Path, tokens: list[int], start: int, dtype: torch.dtype) -> list[float]:
    """By a plain forward in `dtype`: logits in that dtype, their softmax in float32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    with torch.inference_mode():
        every = torch.log_softmax(model(torch.tensor([tokens])).logits[0, start - 1 : -1].float(), dim=-1)
    return [float(row[token]) for row, token in zip(every, tokens[start:])]


def info(server: EmbeddedServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asyncio.run(get(server.url, "/server_info"))[1])
    return found


def test_bfloat16_generates_with_logprobs_in_float32(half: EmbeddedServer, model_folder: Folder) -> None:
    assert (info(half)["device"], info(half)["dtype"]) == ("cpu", "bfloat16")
    found = use(half.url, lambda e: e.generate(prompt(40), SamplingParams(seed=1, max_new_tokens=24)))
    tokens = prompt(40) + found.token_ids
    exact = logprobs(model_folder(), tokens, 40, torch.float32)
    rounded = logprobs(model_folder(), tokens, 40, torch.bfloat16)
    assert found.logprobs == pytest.approx(exact, abs=0.15) and found.logprobs != pytest.approx(exact, abs=1e-4)
    assert found.logprobs == pytest.approx(rounded, abs=0.1)
    as_half = torch.tensor(found.logprobs).bfloat16().float().tolist()
    assert sum(a != b for a, b in zip(found.logprobs, as_half)) > 20, "bfloat16 has 8 bits: these have more"
    assert found.logprobs == torch.tensor(found.logprobs).tolist(), "and are float32's to the bit"


def test_the_prompts_own_logprobs_are_float32_too(half: EmbeddedServer, model_folder: Folder) -> None:
    body = {"input_ids": prompt(30), "sampling_params": {"max_new_tokens": 0}, "return_logprob": True}
    _, answer = asyncio.run(post(half.url, "/generate", body | {"logprob_start_len": 9}))
    scored = [entry[0] for entry in answer["meta_info"]["input_token_logprobs"]][1:]
    assert scored == pytest.approx(logprobs(model_folder(), prompt(30), 10, torch.bfloat16), abs=0.1)
    assert scored != torch.tensor(scored).bfloat16().float().tolist()


def test_a_float32_folder_updates_a_bfloat16_engine_which_stays_one(half: EmbeddedServer, model_folder: Folder) -> None:
    params = SamplingParams(seed=0, max_new_tokens=12)
    tensors = load_file(model_folder(seed=1) / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}

    async def work(engine: SGLangEngine) -> list[Any]:
        first = await engine.generate(prompt(20), params)
        await engine.update_weights(str(model_folder(seed=1)), "by-folder")
        second = await engine.generate(prompt(20), params)
        await engine.update_weights(str(model_folder()), "back")
        await engine.update_tensors(tensors, "by-tensors")
        await engine.release_memory()
        await engine.resume_memory()
        return [first, second, await engine.generate(prompt(20), params)]

    first, by_folder, by_tensors = use(half.url, work)
    assert (by_folder.versions, by_tensors.versions) == ([(0, "by-folder")], [(0, "by-tensors")])
    assert by_folder.token_ids == by_tensors.token_ids != first.token_ids
    assert by_folder.logprobs == by_tensors.logprobs
    network = half.worker.model.network
    assert {part.dtype for part in network.parameters()} == {torch.bfloat16}
    assert all(torch.equal(network.state_dict()[name], tensor.bfloat16()) for name, tensor in tensors.items())
    wanted = logprobs(model_folder(seed=1), prompt(20) + by_folder.token_ids, 20, torch.bfloat16)
    assert by_folder.logprobs == pytest.approx(wanted, abs=0.1)


def test_a_payload_damaged_on_its_way_is_refused_in_bfloat16_too(half: EmbeddedServer, model_folder: Folder) -> None:
    from katcore.engine.tensors import safetensors_body

    body = safetensors_body(load_file(model_folder(seed=1) / "model.safetensors")) | {"weight_version": "bad"}
    body["checksums"][0] = "0" * 64
    status, answer = asyncio.run(post(half.url, "/update_weights_from_tensor", body))
    assert status == 400 and "checksum differs" in answer["message"]
    assert use(half.url, lambda e: e.model_info())["weight_version"] == "default"


def test_an_engines_name_opens_where_it_is_told(model_folder: Folder) -> None:
    async def work() -> int:
        engine = await open_engine(f"embedded:{model_folder()}", HALF)
        try:
            found = await engine.generate(prompt(9), SamplingParams(max_new_tokens=3))
        finally:
            await engine.close()
        return len(found.logprobs)

    assert asyncio.run(work()) == 3


@pytest.mark.usefixtures("no_gpu")
def test_auto_without_a_gpu_is_float32_on_the_cpu(model_folder: Folder) -> None:
    assert AUTO.resolve() == (torch.device("cpu"), torch.float32)
    with EmbeddedServer(model_folder()) as server:
        assert (info(server)["device"], info(server)["dtype"]) == ("cpu", "float32")


def test_auto_with_gpus_is_bfloat16_on_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert AUTO.resolve() == (torch.device("cuda"), torch.bfloat16)
    assert Placement("cuda:1", "float32").resolve() == (torch.device("cuda:1"), torch.float32)
    assert Placement("cpu").resolve() == (torch.device("cpu"), torch.float32)
    with pytest.raises(UsageError, match="no CUDA device 2: there are 2"):
        Placement("cuda:2").resolve()


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_a_device_that_is_not_there_is_refused(model_folder: Folder, device: str) -> None:
    with pytest.raises(UsageError, match="no CUDA device"):
        asyncio.run(open_engine(f"embedded:{model_folder()}", Placement(device)))


@pytest.mark.parametrize("given", [{"device": "gpu"}, {"device": "cuda:x"}, {"device": ""}, {"dtype": "float16"}])
def test_names_that_are_none(given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no such"):
        Placement(**given)


def test_other_engines_have_no_placement_of_ours() -> None:
    with pytest.raises(UsageError, match="its server chose"):
        asyncio.run(open_engine("sglang:http://127.0.0.1:1", HALF))


@pytest.mark.slow
def test_the_servers_own_arguments(model_folder: Folder) -> None:
    command = [sys.executable, "-m", "katcore.engine.embedded.server", "--model", str(model_folder())]
    for extra, words in ((["--device", "cuda:99"], "no CUDA device"), (["--device", "tpu"], "no such device")):
        bad = subprocess.run([*command, *extra], capture_output=True, text=True, check=False)
        assert bad.returncode == 2 and words in bad.stderr and len(bad.stderr.splitlines()) == 1
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--dtype", "bfloat16"], stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        assert json.loads(asyncio.run(get(url, "/server_info"))[1])["dtype"] == "bfloat16"
    finally:
        process.terminate()
    assert process.wait(30) == 0
