"""What any engine must do, as checks over a running server: the embedded engine passes them in CI, SGLang's own server
in `make test-sglang`.

Each check gets a Bench and returns a few words about what it measured. The reference is transformers on the same model,
without cache or batch.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from katcore.engine import Generation, SamplingParams
from katcore.engine.sglang import ContextOverflow, SGLangEngine
from katcore.errors import EngineError, KatError
from katcore.model.folder import load

TOLERANCE = 1e-5
GREEDY = SamplingParams(temperature=0.0, max_new_tokens=16)
PATIENCE_S = 120.0


class Reference:
    """Plain transformers over model folders."""

    def __init__(self) -> None:
        self._models: dict[Path, Any] = {}

    def logprobs(self, folder: Path, tokens: list[int], start: int, temperature: float = 1.0) -> list[float]:
        """Of `tokens[start:]`, each behind all before it."""
        every = torch.log_softmax(self._logits(folder, tokens)[start - 1 : -1] / temperature, dim=-1)
        return [float(row[token]) for row, token in zip(every, tokens[start:])]

    def greedy(self, folder: Path, tokens: list[int], count: int) -> list[int]:
        """The most probable tokens, one after another."""
        found = list(tokens)
        for _ in range(count):
            found.append(int(self._logits(folder, found)[-1].argmax()))
        return found[len(tokens) :]

    def _logits(self, folder: Path, tokens: list[int]) -> Any:
        if folder not in self._models:
            self._models[folder] = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            return self._models[folder](torch.tensor([tokens])).logits[0]


@dataclass
class Bench:
    """A server that was started with the weights of `folder`; `other` has the same shapes and other weights.

    `running` tells how many requests the server is working on, held ones too.
    """

    url: str
    folder: Path
    other: Path
    running: Callable[[], Awaitable[int]]
    reference: Reference = field(default_factory=Reference)

    async def until(self, count: int) -> None:
        """Wait until so many requests are running."""
        end = time.monotonic() + PATIENCE_S
        while await self.running() != count:
            assert time.monotonic() < end, f"the server never had {count} requests running"
            await asyncio.sleep(0.02)

    def apart(self, found: Generation, folder: Path, prompt: list[int], temperature: float = 1.0) -> float:
        """The greatest difference of a completion's log-probs from the reference's."""
        wanted = self.reference.logprobs(folder, prompt + found.token_ids, len(prompt), temperature)
        return greatest(found.logprobs, wanted)


Check = Callable[[Bench, SGLangEngine], Awaitable[str]]
CONTRACT: dict[str, Check] = {}


def check(work: Check) -> Check:
    CONTRACT[work.__name__] = work
    return work


def run(bench: Bench, name: str) -> str:
    """One check with a client of its own."""

    async def whole() -> str:
        engine = SGLangEngine(bench.url)
        try:
            return await asyncio.wait_for(CONTRACT[name](bench, engine), 4 * PATIENCE_S)
        finally:
            await engine.close()

    return asyncio.run(whole())


def prompt(length: int, salt: int = 0) -> list[int]:
    return [9 + (at * at * 31 + at * 7 + salt * 101) % 4000 for at in range(length)]


def greatest(found: list[float], wanted: list[float]) -> float:
    assert len(found) == len(wanted) > 0
    return max(abs(one - other) for one, other in zip(found, wanted))


def differs(value: float) -> str:
    assert value <= TOLERANCE
    return f"differs by {value:.1e} at most"


@check
async def logprobs_of_sampled_tokens(bench: Bench, engine: SGLangEngine) -> str:
    worst = 0.0
    for temperature in (1.0, 0.7):
        params = SamplingParams(temperature=temperature, max_new_tokens=24)
        found = await engine.generate(prompt(40), params)
        assert len(found.token_ids) == 24 or found.finish_reason == "stop"
        assert found.prompt_tokens == 40
        worst = max(worst, bench.apart(found, bench.folder, prompt(40), temperature))
    return differs(worst)


@check
async def logprobs_of_prompt_tokens(bench: Bench, engine: SGLangEngine) -> str:
    tokens = prompt(60, 3)
    await engine.generate(tokens, GREEDY)  # its prefix is known now: what is scored must be computed all the same
    worst = 0.0
    for start in (1, 25, 59):
        wanted = bench.reference.logprobs(bench.folder, tokens, start)
        worst = max(worst, greatest(await engine.score(tokens, start), wanted))
    return differs(worst)


@check
async def greedy_is_the_references(bench: Bench, engine: SGLangEngine) -> str:
    found = await engine.generate(prompt(20), GREEDY)
    assert found.token_ids == bench.reference.greedy(bench.folder, prompt(20), 16)
    return differs(bench.apart(found, bench.folder, prompt(20)))


@check
async def filters_leave_what_they_must(bench: Bench, engine: SGLangEngine) -> str:
    best = bench.reference.greedy(bench.folder, prompt(20), 8)
    for change in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
        found = await engine.generate(prompt(20), SamplingParams(max_new_tokens=8, **change))
        assert found.token_ids == best, change
    return "top-k 1, top-p 0, min-p 1 are greedy"


@check
async def a_seed_repeats(bench: Bench, engine: SGLangEngine) -> str:
    one, again, other = [
        (await engine.generate(prompt(9), SamplingParams(seed=seed, max_new_tokens=12))).token_ids for seed in (3, 3, 4)
    ]
    assert one == again != other
    return "same tokens"


@check
async def samples_without_a_seed_differ(bench: Bench, engine: SGLangEngine) -> str:
    found = await engine.samples(prompt(30), SamplingParams(max_new_tokens=12), 4)
    assert len({tuple(each.token_ids) for each in found}) == 4
    return differs(max(bench.apart(each, bench.folder, prompt(30)) for each in found))


@check
async def a_stop_id_ends_and_stands_last(bench: Bench, engine: SGLangEngine) -> str:
    free = await engine.generate(prompt(12), GREEDY)
    first = next(at for at in range(2, 16) if free.token_ids.index(free.token_ids[at]) == at)
    params = SamplingParams(temperature=0.0, max_new_tokens=16, stop_token_ids=(free.token_ids[first],))
    found = await engine.generate(prompt(12), params)
    assert (free.finish_reason, found.finish_reason) == ("length", "stop")
    assert found.token_ids == free.token_ids[: first + 1] and len(found.logprobs) == first + 1
    return "stop"


@check
async def a_stop_string_ends_across_tokens(bench: Bench, engine: SGLangEngine) -> str:
    chat = load(bench.folder)
    free = (await engine.generate(prompt(12, 4), GREEDY)).token_ids
    texts = [chat.decode(free[:count]) for count in range(len(free) + 1)]
    at = next(at for at in range(4, 15) if texts[at + 1].isascii() and len(texts[at + 1]) > len(texts[at]))
    text = texts[at + 1][len(texts[at]) - 2 : len(texts[at]) + 1]
    first = next(count for count, whole in enumerate(texts) if text in whole)
    params = SamplingParams(temperature=0.0, max_new_tokens=16, stop=("no such text", text))
    found = await engine.generate(prompt(12, 4), params)
    assert found.finish_reason == "stop" and found.token_ids == free[:first]
    return f"{text!r} after {first} tokens"


@check
async def a_stream_is_the_whole_in_parts(bench: Bench, engine: SGLangEngine) -> str:
    params = SamplingParams(temperature=0.0, max_new_tokens=40)
    whole = await engine.generate(prompt(25), params)
    parts = [part async for part in engine.stream(prompt(25), params)]
    assert [token for part in parts for token in part.token_ids] == whole.token_ids
    assert [part.finish_reason for part in parts[:-1]] == [""] * (len(parts) - 1)
    assert parts[-1].finish_reason == whole.finish_reason and len(parts) > 2
    assert all(part.versions == whole.versions for part in parts if part.token_ids)
    return differs(greatest([each for part in parts for each in part.logprobs], whole.logprobs))


@check
async def a_batch_changes_nothing(bench: Bench, engine: SGLangEngine) -> str:
    prompts = [prompt(1 + 17 * number, number) for number in range(7)]
    params = [SamplingParams(temperature=0.0, max_new_tokens=6 + 3 * number) for number in range(7)]
    together = await asyncio.gather(*(engine.generate(*each) for each in zip(prompts, params)))
    for tokens, given, found in zip(prompts, params, together):
        await engine.flush_cache()
        assert found.token_ids == (await engine.generate(tokens, given)).token_ids
    return differs(max(bench.apart(found, bench.folder, tokens) for tokens, found in zip(prompts, together)))


@check
async def a_known_prefix_is_used_until_flushed(bench: Bench, engine: SGLangEngine) -> str:
    tokens = prompt(80, 6)
    await engine.flush_cache()
    counts = [(await engine.generate(tokens, GREEDY)).cached_tokens]
    longer = await engine.generate(tokens + prompt(10, 8), GREEDY)
    counts.append(longer.cached_tokens)
    await engine.flush_cache()
    counts.append((await engine.generate(tokens, GREEDY)).cached_tokens)
    assert counts[0] == counts[2] == 0 and 64 <= counts[1] <= 80
    bench.apart(longer, bench.folder, tokens + prompt(10, 8))
    return f"{counts[1]} of 80 tokens, " + differs(bench.apart(longer, bench.folder, tokens + prompt(10, 8)))


ENDLESS = SamplingParams(temperature=0.0, max_new_tokens=440)


def endless(engine: SGLangEngine, salt: int, rid: str = "") -> asyncio.Task[Generation]:
    """A completion that takes a while, unless the tiny model ends by itself."""
    return asyncio.create_task(engine.generate(prompt(8, salt), ENDLESS, rid))


@check
async def an_abort_ends_one_request(bench: Bench, engine: SGLangEngine) -> str:
    wanted, other = endless(engine, 1, "mine"), endless(engine, 2)
    await bench.until(2)
    await asyncio.sleep(0.1)
    await engine.abort("mine")
    found = await wanted
    assert found.finish_reason == "abort" and len(found.token_ids) == len(found.logprobs) < 440
    assert (await other).finish_reason == "length"
    return "the other goes on"


@check
async def an_abort_ends_all_requests(bench: Bench, engine: SGLangEngine) -> str:
    tasks = [endless(engine, salt) for salt in range(1, 4)]
    await bench.until(3)
    await engine.abort()
    assert [found.finish_reason for found in await asyncio.gather(*tasks)] == ["abort"] * 3
    return "three"


@check
async def a_client_that_leaves_frees_its_place(bench: Bench, engine: SGLangEngine) -> str:
    task = endless(engine, 1)
    await bench.until(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    started = time.monotonic()
    stream = engine.stream(prompt(8, 2), ENDLESS)
    await anext(stream)
    await stream.aclose()
    await bench.until(0)
    return f"after {time.monotonic() - started:.1f} s"


@check
async def a_pause_holds_and_changes_nothing(bench: Bench, engine: SGLangEngine) -> str:
    plain = await engine.generate(prompt(8, 1), ENDLESS)
    for mode in ("in_place", "retract"):
        running = endless(engine, 1)
        await bench.until(1)
        await engine.pause(mode)
        late = endless(engine, 2)
        await asyncio.sleep(0.5)
        assert not running.done() and not late.done(), mode
        await engine.resume()
        assert (await running).token_ids == plain.token_ids, mode
        await late
    return "in_place, retract"


@check
async def a_pause_may_abort(bench: Bench, engine: SGLangEngine) -> str:
    running = endless(engine, 1)
    await bench.until(1)
    await engine.pause("abort")
    assert (await running).finish_reason == "abort"
    await engine.resume()
    assert (await engine.generate(prompt(8), GREEDY)).finish_reason == "length"
    return "abort"


@check
async def every_token_knows_its_weights(bench: Bench, engine: SGLangEngine) -> str:
    await engine.update_weights(str(bench.folder), "before")
    try:
        got: list[Generation] = []
        async for part in engine.stream(prompt(30), SamplingParams(temperature=0.0, max_new_tokens=300)):
            if not got:
                await engine.pause("retract")
                await engine.update_weights(str(bench.other), "after")
                await engine.resume()
            got.append(part)
        assert (await engine.model_info())["weight_version"] == "after"
    finally:
        await engine.update_weights(str(bench.folder), "default")
    tokens, start, spans = prompt(30), 0, list[tuple[int, str]]()
    for part in got:
        spans += [(start + at, name) for at, name in part.versions]
        start += len(part.token_ids)
    cut = next(at for at, name in spans if name == "after")
    assert {name for at, name in spans if at < cut} == {"before"} and 0 < cut < start
    assert {name for at, name in spans if at >= cut} == {"after"}
    tokens += [token for part in got for token in part.token_ids]
    logprobs = [each for part in got for each in part.logprobs]
    worst = greatest(logprobs[:cut], bench.reference.logprobs(bench.folder, tokens[: 30 + cut], 30))
    worst = max(worst, greatest(logprobs[cut:], bench.reference.logprobs(bench.other, tokens, 30 + cut)))
    return f"{cut} + {start - cut} tokens, " + differs(worst)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return tensors


@check
async def tensors_become_weights(bench: Bench, engine: SGLangEngine) -> str:
    tensors = {f"policy.{name}": tensor for name, tensor in weights(bench.other).items()}
    names = {name: name.removeprefix("policy.") for name in tensors}
    await engine.generate(prompt(50), GREEDY)  # a prefix of the old weights, which must not be used
    try:
        await engine.update_tensors(tensors, "from-tensors", names)
        found = await engine.generate(prompt(50), GREEDY)
    finally:
        await engine.update_weights(str(bench.folder), "default")
    assert found.versions == [(0, "from-tensors")]
    return differs(bench.apart(found, bench.other, prompt(50)))


@check
async def a_partial_update_is_refused(bench: Bench, engine: SGLangEngine) -> str:
    before = await engine.generate(prompt(20), GREEDY)
    given = weights(bench.other)
    first = min(given)
    cases = {
        "partial": {name: tensor for name, tensor in given.items() if name != first},
        "no weight": given | {"model.nothing": torch.zeros(3)},
        first: given | {first: given[first][:1]},
    }
    for words, tensors in cases.items():
        with pytest.raises(KatError, match=words):
            await engine.update_tensors(tensors, "bad")
    after = await engine.generate(prompt(20), GREEDY)
    assert (after.token_ids, after.versions) == (before.token_ids, before.versions)
    return differs(bench.apart(after, bench.folder, prompt(20)))


@check
async def a_folder_without_whole_weights_is_refused(bench: Bench, engine: SGLangEngine) -> str:
    before = await engine.generate(prompt(20), GREEDY)
    with tempfile.TemporaryDirectory() as name:
        cut = shutil.copytree(bench.other, Path(name) / "cut")
        os.truncate(cut / "model.safetensors", (cut / "model.safetensors").stat().st_size // 2)
        for folder in (bench.folder / "nowhere", cut):
            with pytest.raises(EngineError):
                await engine.update_weights(str(folder), "bad")
    after = await engine.generate(prompt(20), GREEDY)
    assert (after.token_ids, after.versions) == (before.token_ids, before.versions)
    return differs(bench.apart(after, bench.folder, prompt(20)))


@check
async def memory_is_lent_and_comes_back(bench: Bench, engine: SGLangEngine) -> str:
    before = await engine.generate(prompt(20), GREEDY)
    for tags in (None, ["kv_cache"], ["weights"]):
        await engine.release_memory(tags)
        await engine.resume_memory(tags)
        found = await engine.generate(prompt(20), GREEDY)
        assert found.token_ids == before.token_ids
    return differs(bench.apart(found, bench.folder, prompt(20)))


@check
async def nothing_runs_while_memory_is_lent(bench: Bench, engine: SGLangEngine) -> str:
    before = await engine.generate(prompt(20), GREEDY)
    await engine.release_memory()
    held = asyncio.create_task(engine.generate(prompt(20), GREEDY))
    await asyncio.sleep(0.5)
    assert not held.done()
    await engine.resume_memory()
    assert (await held).token_ids == before.token_ids
    return differs(bench.apart(await held, bench.folder, prompt(20)))


@check
async def what_cannot_be_is_refused_by_type(bench: Bench, engine: SGLangEngine) -> str:
    with pytest.raises(ContextOverflow):
        await engine.generate(prompt(600), GREEDY)
    with pytest.raises(EngineError) as caught:
        await engine.generate(prompt(4), SamplingParams(temperature=-1.0, max_new_tokens=4))
    assert not isinstance(caught.value, ContextOverflow)
    assert await engine.health()
    return "context overflow, bad parameter"
