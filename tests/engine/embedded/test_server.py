"""The embedded engine over real HTTP: log-probs, batching, prefixes, weight swaps, aborts, refusals."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import MambaConfig

from katcore.engine import Generation, SamplingParams
from katcore.engine.embedded.server import EmbeddedServer, launch
from katcore.engine.sglang import ContextOverflow, SGLangEngine
from katcore.errors import EngineError, InputError
from katcore.model.folder import load
from tests.support.embedded_client import get, post, prompt, use
from tests.support.tiny_models import CONFIGS, Folder, Logprobs


async def parts(stream: AsyncIterator[Generation]) -> list[Generation]:
    return [part async for part in stream]


async def until(url: str, reached: Callable[[dict[str, Any]], bool]) -> None:
    """Wait for a state of the server."""
    while not reached(json.loads((await get(url, "/server_info"))[1])):
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_logprobs_are_the_plain_models_and_the_batch_changes_nothing(
    model_folder: Folder, plain_logprobs: Logprobs, kind: str
) -> None:
    folder = model_folder(kind)
    params = [SamplingParams(temperature=0.8, seed=k, max_new_tokens=6 + 3 * k) for k in range(7)]
    prompts = [prompt(1 + 13 * k, k) for k in range(7)]

    async def together(engine: SGLangEngine) -> list[Any]:
        return await asyncio.gather(*(engine.generate(p, s) for p, s in zip(prompts, params)))

    async def alone(engine: SGLangEngine) -> list[Any]:
        results = []
        for tokens, given in zip(prompts, params):
            await engine.flush_cache()
            results.append(await engine.generate(tokens, given))
        return results

    with EmbeddedServer(folder, max_running=4) as server:
        batched, single = use(server.url, together), use(server.url, alone)
    for tokens, one, other in zip(prompts, batched, single):
        assert one.token_ids == other.token_ids and one.finish_reason == other.finish_reason
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        wanted = plain_logprobs(folder, tokens + one.token_ids, len(tokens), 0.8)
        assert one.logprobs == pytest.approx(wanted, abs=1e-4)
        assert one.prompt_tokens == len(tokens)


def test_greedy_is_argmax_with_logprobs_at_temperature_one(
    server: EmbeddedServer, model_folder: Folder, plain_logprobs: Logprobs
) -> None:
    tokens = prompt(20)
    found = use(server.url, lambda e: e.generate(tokens, SamplingParams(temperature=0.0, max_new_tokens=8)))
    best = list(tokens)
    for token, logprob in zip(found.token_ids, found.logprobs):
        every = [plain_logprobs(model_folder(), [*best, t], len(best), 1.0)[0] for t in (token, 7, 11)]
        assert every[0] == max(every) == pytest.approx(logprob, abs=1e-4)
        best.append(token)


def test_a_seed_repeats_and_without_one_samples_differ(server: EmbeddedServer) -> None:
    async def work(engine: SGLangEngine) -> list[list[int]]:
        seeds = (3, 3, 4, None, None)
        return [(await engine.generate(prompt(9), SamplingParams(seed=s, max_new_tokens=12))).token_ids for s in seeds]

    same, again, other, free, freer = use(server.url, work)
    assert same == again
    assert len({tuple(ids) for ids in (same, other, free, freer)}) == 4


def test_the_next_turn_reuses_the_prefix_and_flush_forgets_it(
    server: EmbeddedServer, model_folder: Folder, plain_logprobs: Logprobs
) -> None:
    async def work(engine: SGLangEngine) -> list[Any]:
        await engine.flush_cache()
        params = SamplingParams(seed=1, max_new_tokens=10)
        first = await engine.generate(prompt(60), params)
        longer = prompt(60) + first.token_ids + prompt(15, 2)
        second = await engine.generate(longer, params)
        branch = await engine.generate(prompt(30) + prompt(30, 5), params)
        await engine.flush_cache()
        return [first, second, branch, await engine.generate(longer, params), longer]

    first, second, branch, fresh, longer = use(server.url, work)
    assert [each.cached_tokens for each in (first, second, branch, fresh)] == [0, 69, 30, 0]
    assert second.token_ids == fresh.token_ids
    wanted = plain_logprobs(model_folder(), longer + second.token_ids, len(longer), 1.0)
    assert second.logprobs == pytest.approx(wanted, abs=1e-4)


def test_a_long_prompt_is_read_in_chunks(
    model_folder: Folder, plain_logprobs: Logprobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("katcore.engine.embedded.model._CHUNK", 16)
    folder = model_folder("mistral-window")
    with EmbeddedServer(folder) as server:
        found = use(server.url, lambda e: e.generate(prompt(70), SamplingParams(seed=0, max_new_tokens=8)))
    wanted = plain_logprobs(folder, prompt(70) + found.token_ids, 70, 1.0)
    assert found.logprobs == pytest.approx(wanted, abs=1e-4)


def test_stop_tokens_end_a_completion_and_stand_at_its_end(server: EmbeddedServer) -> None:
    async def work(engine: SGLangEngine) -> tuple[Any, Any]:
        free = await engine.generate(prompt(12), SamplingParams(seed=2, max_new_tokens=16))
        stop = SamplingParams(seed=2, max_new_tokens=16, stop_token_ids=(free.token_ids[5],))
        return free, await engine.generate(prompt(12), stop)

    free, stopped = use(server.url, work)
    first = free.token_ids.index(free.token_ids[5])
    assert (free.finish_reason, stopped.finish_reason) == ("length", "stop")
    assert stopped.token_ids == free.token_ids[: first + 1]


def test_the_shapes_are_sglangs(server: EmbeddedServer, model_folder: Folder) -> None:
    sampling = {"max_new_tokens": 3, "sampling_seed": 0, "ignore_eos": True, "n": 2}
    body = {"input_ids": [prompt(4), prompt(6)], "sampling_params": sampling, "return_logprob": True, "rid": "r1"}
    status, answers = asyncio.run(post(server.url, "/generate", body))
    assert status == 200 and [a["meta_info"]["prompt_tokens"] for a in answers] == [4, 4, 6, 6]
    assert answers[0]["output_ids"] != answers[1]["output_ids"]
    meta = answers[0]["meta_info"]
    assert meta["id"] == "r1" and meta["completion_tokens"] == 3
    assert meta["finish_reason"] == {"type": "length", "length": 3}
    assert [pair[1:] for pair in meta["output_token_logprobs"]] == [[t, None] for t in answers[0]["output_ids"]]
    assert meta["weight_versions"] == [{"version": "default", "start": 0, "end": 3}]
    assert answers[0]["text"] == load(model_folder()).decode(answers[0]["output_ids"])
    _, single = asyncio.run(post(server.url, "/generate", {"input_ids": [5], "sampling_params": {"max_new_tokens": 1}}))
    assert "output_token_logprobs" not in single["meta_info"]


def test_information_and_health(server: EmbeddedServer, model_folder: Folder) -> None:
    info = use(server.url, lambda e: e.model_info())
    assert info["model_path"] == str(model_folder()) and info["tokenizer_digest"] == load().digest
    status, body = asyncio.run(get(server.url, "/server_info"))
    assert status == 200 and json.loads(body)["context_length"] == 512
    assert [asyncio.run(get(server.url, path))[0] for path in ("/health", "/health_generate")] == [200, 200]
    assert use(server.url, lambda e: e.health()) is True


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": "hello"}, "input_ids"),
        ({"input_ids": []}, "non-empty"),
        ({"input_ids": [4096]}, "below 4096"),
        ({"input_ids": [-1]}, "below 4096"),
        ({"input_ids": [[3], []]}, "non-empty"),
        ({"input_ids": [3, [4]]}, "below 4096"),
        ({"input_ids": [[3], [4]], "stream": True}, "a stream is one"),
        ({"input_ids": [3], "logprob_start_len": 1, "return_logprob": True}, "beyond the prompt"),
        ({"input_ids": [3], "sampling_params": {"temperature": -1}}, "temperature"),
        ({"input_ids": [3], "sampling_params": {"stop": ["x", ""]}}, "stop string is empty"),
        ({"input_ids": [3], "sampling_params": {"repetition_penalty": 1.1}}, "penalties"),
        ({"input_ids": [3], "sampling_params": {"regex": "("}}, "regex"),
        ({"input_ids": prompt(500), "sampling_params": {"max_new_tokens": 13}}, "context length of 512"),
    ],
)
def test_what_cannot_be_done_is_refused_with_400(server: EmbeddedServer, body: Any, words: str) -> None:
    status, answer = asyncio.run(post(server.url, "/generate", body))
    assert status == 400 and words in answer["error"]["message"]


def test_context_overflow_is_typed_and_the_last_position_is_usable(server: EmbeddedServer) -> None:
    found = use(server.url, lambda e: e.generate(prompt(500), SamplingParams(max_new_tokens=12, seed=0)))
    assert len(found.token_ids) == 12
    with pytest.raises(ContextOverflow, match="context length"):
        use(server.url, lambda e: e.generate(prompt(512), SamplingParams(max_new_tokens=1)))


def test_weights_swap_between_steps_and_every_token_knows_its_version(
    model_folder: Folder, plain_logprobs: Logprobs
) -> None:
    folders, tokens = {"default": model_folder(), "step-1": model_folder(seed=1)}, prompt(30)

    async def work(engine: SGLangEngine) -> tuple[Any, Any]:
        running = asyncio.create_task(engine.generate(tokens, SamplingParams(seed=0, max_new_tokens=400)))
        await until(server.url, lambda state: state["decoding_steps"] >= 5)
        await engine.update_weights(str(folders["step-1"]), "step-1")
        assert (await engine.model_info())["weight_version"] == "step-1"
        return await running, await engine.generate(tokens, SamplingParams(seed=0, max_new_tokens=5))

    with EmbeddedServer(folders["default"]) as server:
        crossing, after = use(server.url, work)
    assert [version for _, version in crossing.versions] == ["default", "step-1"]
    assert after.versions == [(0, "step-1")]
    everything, swap = tokens + crossing.token_ids, crossing.versions[1][0]
    assert 0 < swap < 400
    for (version, folder), part in zip(folders.items(), (slice(0, swap), slice(swap, None))):
        wanted = plain_logprobs(folder, everything, len(tokens), 1.0)[part]
        assert crossing.logprobs[part] == pytest.approx(wanted, abs=1e-4), version


def test_weights_that_do_not_fit_are_refused_and_the_old_ones_go_on(
    server: EmbeddedServer, model_folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(model_folder(), tmp_path / "cut")
    weights = tmp_path / "cut/model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    before = use(server.url, lambda e: e.generate(prompt(5), SamplingParams(temperature=0.0, max_new_tokens=5)))
    for folder in (tmp_path / "none", tmp_path / "empty", tmp_path / "cut", model_folder("llama")):
        with pytest.raises(EngineError, match=folder.name):
            use(server.url, lambda e, f=folder: e.update_weights(str(f), "bad"))
    after = use(server.url, lambda e: e.generate(prompt(5), SamplingParams(temperature=0.0, max_new_tokens=5)))
    assert after == before


@pytest.mark.parametrize("mode", ["in_place", "retract"])
def test_pause_holds_tokens_back_and_changes_none(server: EmbeddedServer, mode: str) -> None:
    params = SamplingParams(seed=9, max_new_tokens=150)

    async def work(engine: SGLangEngine) -> tuple[Any, Any]:
        plain = await engine.generate(prompt(40), params)
        running = asyncio.create_task(engine.generate(prompt(40), params))
        await asyncio.sleep(0.05)
        await engine.pause(mode)
        late = asyncio.create_task(engine.generate(prompt(40), params))
        await asyncio.sleep(0.3)
        assert not running.done() and not late.done()
        await engine.resume()
        await late
        return plain, await running

    plain, paused = use(server.url, work)
    assert paused.token_ids == plain.token_ids
    assert paused.logprobs == pytest.approx(plain.logprobs, abs=1e-4)


def test_abort_answers_with_what_there_is(server: EmbeddedServer) -> None:
    async def work(engine: SGLangEngine) -> list[Any]:
        tasks = [asyncio.create_task(engine.generate(prompt(8), SamplingParams(max_new_tokens=480))) for _ in range(3)]
        await until(server.url, lambda state: state["running"] == 3)
        await engine.abort()
        return await asyncio.gather(*tasks)

    for found in use(server.url, work):
        assert found.finish_reason == "abort" and len(found.token_ids) == len(found.logprobs) < 480


def test_a_client_that_goes_away_frees_its_row(server: EmbeddedServer) -> None:
    async def work() -> None:
        body = {"input_ids": prompt(8), "sampling_params": {"max_new_tokens": 500, "ignore_eos": True}}
        await post(server.url, "/pause_generation", {"mode": "in_place"})
        task = asyncio.create_task(post(server.url, "/generate", body))
        await until(server.url, lambda state: state["waiting"] == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(until(server.url, lambda state: state["waiting"] == 0), 30)
        await post(server.url, "/continue_generation", {})

    asyncio.run(work())


def test_whoever_leaves_before_weights_are_loaded_leaves_a_working_engine(model_folder: Folder) -> None:
    with EmbeddedServer(model_folder()) as server:

        async def work() -> None:
            body = {"model_path": str(model_folder(seed=1)), "weight_version": "v1"}
            long = asyncio.create_task(post(server.url, "/generate", {"input_ids": prompt(300)}))
            updates = [asyncio.create_task(post(server.url, "/update_weights_from_disk", body)) for _ in range(4)]
            await asyncio.sleep(0.02)
            for task in updates:
                task.cancel()
            await asyncio.gather(*updates, return_exceptions=True)
            assert (await asyncio.wait_for(long, 60))[0] == 200

        asyncio.run(work())
        assert server.worker.alive() and use(server.url, lambda e: e.health()) is True


def test_a_stream_in_sglangs_shape(server: EmbeddedServer, model_folder: Folder) -> None:
    sampling = {"max_new_tokens": 6, "temperature": 0, "ignore_eos": True}
    body = {"input_ids": prompt(9), "sampling_params": sampling, "return_logprob": True, "logprob_start_len": 6}
    _, whole = asyncio.run(post(server.url, "/generate", body))
    _, data = asyncio.run(post(server.url, "/generate", body | {"stream": True}))
    *lines, end, _ = data.decode().split("\n\n")
    assert end == "data: [DONE]"
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [token for event in events for token in event["output_ids"]] == whole["output_ids"]
    assert [event["meta_info"]["finish_reason"] for event in events][:-1] == [None] * (len(events) - 1)
    assert events[-1]["meta_info"]["finish_reason"] == {"type": "length", "length": 6}
    assert events[-1]["meta_info"]["weight_versions"] == whole["meta_info"]["weight_versions"]
    scored = whole["meta_info"]["input_token_logprobs"]
    assert [entry[1] for entry in scored] == prompt(9)[6:] and [entry[0] is None for entry in scored] == [1, 0, 0]


def test_a_stop_string_is_cut_from_the_text_and_not_from_the_ids(server: EmbeddedServer, model_folder: Folder) -> None:
    chat = load(model_folder())
    sampling: dict[str, Any] = {"max_new_tokens": 12, "temperature": 0}
    _, free = asyncio.run(post(server.url, "/generate", {"input_ids": prompt(9), "sampling_params": sampling}))
    stop = chat.decode(free["output_ids"][4:6])
    for trim in (False, True):
        asked = sampling | {"stop": stop, "no_stop_trim": not trim}
        _, found = asyncio.run(post(server.url, "/generate", {"input_ids": prompt(9), "sampling_params": asked}))
        ids = found["output_ids"]
        assert ids == free["output_ids"][: len(ids)] and stop in chat.decode(ids) and stop not in chat.decode(ids[:-1])
        assert found["meta_info"]["finish_reason"] == {"type": "stop", "matched": stop}
        assert found["text"] == (chat.decode(ids).split(stop)[0] if trim else chat.decode(ids))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"serialized_named_tensors": ["gASVAAAA"]}, "load_format safetensors only"),
        ({"serialized_named_tensors": ["AAAA"], "checksums": ["00"], "load_format": "safetensors"}, "checksum differs"),
        ({"serialized_named_tensors": [], "checksums": [], "load_format": "safetensors"}, "partial update"),
    ],
)
def test_tensors_that_are_refused(server: EmbeddedServer, body: Any, words: str) -> None:
    status, answer = asyncio.run(post(server.url, "/update_weights_from_tensor", body | {"weight_version": "bad"}))
    assert status == 400 and words in str(answer)
    assert use(server.url, lambda e: e.model_info())["weight_version"] == "default"


def test_weights_that_come_while_the_old_ones_are_away(model_folder: Folder, plain_logprobs: Logprobs) -> None:
    async def work(engine: SGLangEngine) -> Any:
        await engine.release_memory()
        with pytest.raises(EngineError, match="weights are released"):
            await engine.update_tensors({}, "v1")
        await engine.update_weights(str(model_folder(seed=1)), "v1")
        await engine.resume_memory()
        return await engine.generate(prompt(9), SamplingParams(seed=0, max_new_tokens=6))

    with EmbeddedServer(model_folder()) as server:
        found = use(server.url, work)
    assert found.versions == [(0, "v1")]
    wanted = plain_logprobs(model_folder(seed=1), prompt(9) + found.token_ids, 9, 1.0)
    assert found.logprobs == pytest.approx(wanted, abs=1e-5)


@pytest.mark.slow
def test_closing_with_work_in_flight_answers_it(model_folder: Folder) -> None:
    server = launch(model_folder())

    async def work(engine: SGLangEngine) -> Any:
        running = asyncio.create_task(engine.generate(prompt(8), SamplingParams(max_new_tokens=500)))
        await until(server.url, lambda state: state["running"] == 1)
        await asyncio.to_thread(server.close)
        return await running

    assert use(server.url, work).finish_reason == "abort"
    assert use(server.url, lambda e: e.health()) is False


@pytest.mark.slow
def test_a_broken_step_fails_its_requests_and_the_next_ones_are_served(model_folder: Folder) -> None:
    """A GPT-2 position beyond its table is an error inside the forward."""
    with EmbeddedServer(model_folder("gpt2")) as server:
        server.worker.model.context = 0  # the check that would refuse it
        with pytest.raises(EngineError, match="generation failed"):
            use(server.url, lambda e: e.generate(prompt(510), SamplingParams(max_new_tokens=20)))
        with pytest.raises(EngineError, match="generation failed"):
            use(server.url, lambda e: parts(e.stream(prompt(510), SamplingParams(max_new_tokens=20))))
        assert use(server.url, lambda e: e.health()) is True


def test_folders_that_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        launch(tmp_path)
    MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="cannot load"):
        launch(tmp_path)


def test_a_port_that_is_taken(server: EmbeddedServer, model_folder: Folder) -> None:
    with pytest.raises(EngineError, match="cannot listen"):
        launch(model_folder(), port=int(server.url.rpartition(":")[2]))


@pytest.mark.slow
def test_as_a_process_on_a_socket(model_folder: Folder, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "katcore.engine.embedded.server", "--model", str(model_folder())]
    process = subprocess.Popen([*command, "--socket", str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        assert url == f"unix:{tmp_path}/s" and (tmp_path / "s").stat().st_mode & 0o777 == 0o600
        found = use(url, lambda e: e.generate(prompt(8), SamplingParams(max_new_tokens=4)))
        assert len(found.token_ids) == 4
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    bad = subprocess.run([*command[:-1], str(tmp_path)], capture_output=True, text=True, check=False)
    assert bad.returncode == 4 and "no config.json" in bad.stderr and "Traceback" not in bad.stderr
