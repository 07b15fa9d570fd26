"""Grammars on the embedded engine: what is sampled obeys them, its log-probs are those of what they allow, and nothing
that happens to a completion on its way makes it forget."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import torch
from transformers import AutoModelForCausalLM

from katcore.engine import Generation, SamplingParams, sglang_wire
from katcore.engine.embedded.grammar import Grammars
from katcore.engine.embedded.requests import Refused
from katcore.engine.embedded.server import EmbeddedServer
from katcore.engine.sglang import GrammarRefused, SGLangEngine
from katcore.errors import EngineError
from katcore.model.folder import ChatModel, load
from katcore.model.grammars import json_format
from tests.support.embedded_client import get, post, prompt, use
from tests.support.obeying_models import obeying

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "kind": {"enum": ["file", "folder"]},
        "sizes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 4},
    },
    "required": ["name", "kind", "sizes"],
    "additionalProperties": False,
}
OPTIONS = ("yes", "no", "not yet", "nothing at all")


def tag(format: dict[str, Any]) -> str:
    return json.dumps({"type": "structural_tag", "format": format})


ANSWER = tag(json_format(SCHEMA))
ONE_OF = tag({"type": "or", "elements": [{"type": "const_string", "value": option} for option in OPTIONS]})
PARAMS = SamplingParams(max_new_tokens=400, seed=1, grammar=ANSWER)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    return obeying("qwen3", tmp_path_factory.mktemp("models") / "qwen3")


@pytest.fixture(scope="module")
def server(chat: ChatModel) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(chat.folder, max_running=6) as running:
        yield running


def said(chat: ChatModel, found: Generation) -> str:
    assert found.finish_reason == "stop" and found.token_ids[-1] in chat.stop_ids
    assert len(found.logprobs) == len(found.token_ids)
    return chat.decode(found.token_ids[:-1])


def test_answers_follow_a_schema_and_their_neighbours_are_left_alone(server: EmbeddedServer, chat: ChatModel) -> None:
    bound = [replace(PARAMS, seed=seed, temperature=t) for seed, t in enumerate([1.0, 1.0, 0.7, 1.5, 0.0, 1.0])]
    free = [SamplingParams(max_new_tokens=20, seed=seed) for seed in range(4)]

    async def together(engine: SGLangEngine) -> list[Generation]:
        return await asyncio.gather(*(engine.generate(prompt(9, 5), params) for params in [*free, *bound]))

    async def alone(engine: SGLangEngine) -> list[Generation]:
        return [await engine.generate(prompt(9, 5), params) for params in free]

    found, plain = use(server.url, together), use(server.url, alone)
    for one in found[len(free) :]:
        jsonschema.validate(json.loads(said(chat, one)), SCHEMA)
    assert len({tuple(one.token_ids) for one in found[len(free) :]}) > 3
    for one, other in zip(found, plain):
        assert one.token_ids == other.token_ids and one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_are_those_among_what_is_allowed(server: EmbeddedServer, chat: ChatModel, temperature: float) -> None:
    """The reference knows no grammars: a token may follow if an option begins with the text so far and the token's."""
    network = AutoModelForCausalLM.from_pretrained(chat.folder, dtype=torch.float32).eval()
    texts = [chat.decode([token]) for token in range(len(chat.tokenizer))]
    asked = prompt(12, 3)
    params = SamplingParams(max_new_tokens=30, temperature=temperature, grammar=ONE_OF)
    found = use(server.url, lambda engine: engine.samples(asked, replace(params, seed=4), 12))
    seen = set()
    for one in found:
        text = ""
        seen.add(said(chat, one))
        with torch.inference_mode():
            logits = network(torch.tensor([asked + one.token_ids])).logits[0, len(asked) - 1 :].float() / temperature
        for row, token, logprob in zip(logits, one.token_ids, one.logprobs):
            follow = [n for n, t in enumerate(texts) if t and any(o.startswith(text + t) for o in OPTIONS)]
            follow += list(chat.stop_ids) if text in OPTIONS else []
            assert token in follow
            wanted = row[token] - torch.logsumexp(row[follow], dim=-1)
            assert logprob == pytest.approx(float(wanted), abs=1e-4)
            text += texts[token]
    assert seen <= set(OPTIONS) and len(seen) > 1


def test_greedy_takes_the_likeliest_that_is_allowed(server: EmbeddedServer, chat: ChatModel) -> None:
    params = SamplingParams(temperature=0.0, max_new_tokens=30, grammar=ONE_OF)
    one, other = use(server.url, lambda engine: engine.samples(prompt(7), params, 2))
    assert one.token_ids == other.token_ids and said(chat, one) in OPTIONS


def test_a_stream_a_pause_and_a_retraction_change_nothing(server: EmbeddedServer, chat: ChatModel) -> None:
    async def run(engine: SGLangEngine) -> tuple[Generation, list[Generation]]:
        plain = await engine.generate(prompt(20), PARAMS)
        parts = []
        async for part in engine.stream(prompt(20), PARAMS):
            parts.append(part)
            if len(parts) in (2, 5):
                await engine.pause("retract")
                await engine.resume()
        return plain, parts

    plain, parts = use(server.url, run)
    assert [token for part in parts for token in part.token_ids] == plain.token_ids
    assert [x for part in parts for x in part.logprobs] == pytest.approx(plain.logprobs, abs=1e-4)
    jsonschema.validate(json.loads(said(chat, plain)), SCHEMA)


def test_what_was_broken_off_is_gone_on_with(server: EmbeddedServer, chat: ChatModel) -> None:
    async def run(engine: SGLangEngine) -> tuple[Generation, Generation, Generation]:
        whole = await engine.generate(prompt(20), PARAMS)
        cut = await engine.generate(prompt(20), replace(PARAMS, max_new_tokens=7))
        rest = replace(PARAMS, max_new_tokens=400, grammar_tokens=7)
        return whole, cut, await engine.generate(prompt(20) + cut.token_ids, rest)

    whole, cut, rest = use(server.url, run)
    assert cut.finish_reason == "length" and cut.token_ids == whole.token_ids[:7]
    jsonschema.validate(json.loads(chat.decode(cut.token_ids + rest.token_ids[:-1])), SCHEMA)


def test_an_aborted_answer_keeps_what_it_has(server: EmbeddedServer) -> None:
    endless = replace(PARAMS, grammar=tag({"type": "regex", "pattern": "[a-z]{2000,}"}), max_new_tokens=3000)

    async def run(engine: SGLangEngine) -> Generation:
        task = asyncio.ensure_future(engine.generate(prompt(5), endless, rid="long"))
        while json.loads((await get(server.url, "/server_info"))[1])["running"] == 0:
            await asyncio.sleep(0.01)
        await engine.abort("long")
        return await task

    found = use(server.url, run)
    assert found.finish_reason == "abort" and len(found.logprobs) == len(found.token_ids)


BAD = {
    "no tag": ("structural_tag", '{"type": "structural_tag"}', "with a format"),
    "no JSON": ("structural_tag", "{", "grammar refused"),
    "unknown type": ("json_schema", '{"type": "foo"}', 'Unsupported type "foo"'),
    "nothing": ("json_schema", "false", "cannot accept any value"),
    "loose reference": ("json_schema", '{"$ref": "#/$defs/x"}', "Cannot find field"),
    "no EBNF": ("ebnf", "root ::= ", "grammar refused"),
    "no pattern": ("regex", "(", "grammar refused"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_bad_grammar_is_refused_with_the_librarys_reason(server: EmbeddedServer, case: str) -> None:
    kind, text, reason = BAD[case]
    body = {"input_ids": [1, 2], "sampling_params": {kind: text, "max_new_tokens": 3}}
    for stream in (False, True):
        status, answer = asyncio.run(post(server.url, "/generate", body | {"stream": stream}))
        message = answer["error"]["message"]
        assert status == 400 and reason in message and "\n" not in message and ".cc:" not in message


def test_the_client_tells_a_refused_grammar_from_a_broken_engine(server: EmbeddedServer) -> None:
    bad = replace(PARAMS, grammar=tag({"type": "json_schema", "json_schema": {"type": "foo"}}))

    async def run(engine: SGLangEngine) -> None:
        with pytest.raises(GrammarRefused, match='Unsupported type "foo"'):
            await engine.generate([1, 2], bad)
        with pytest.raises(GrammarRefused, match='Unsupported type "foo"'):
            [part async for part in engine.stream([1, 2], bad)]

    use(server.url, run)


@pytest.mark.parametrize(
    ("kind", "text", "matches"),
    [
        ("json_schema", '{"enum": ["a", 7]}', r'"a"|7'),
        ("regex", "[ab]{3}", "[ab]{3}"),
        ("ebnf", 'root ::= "x" | "yz"', "x|yz"),
    ],
)
def test_sglangs_other_forms_are_taken_too(
    server: EmbeddedServer, chat: ChatModel, kind: str, text: str, matches: str
) -> None:
    body = {"input_ids": [1, 2], "sampling_params": {kind: text, "stop_token_ids": list(chat.stop_ids)}}
    status, answer = asyncio.run(post(server.url, "/generate", body))
    assert status == 200 and re.fullmatch(matches, answer["text"]), answer
    both = {"json_schema": "{}", "regex": "a"}
    status, answer = asyncio.run(post(server.url, "/generate", {"input_ids": [1], "sampling_params": both}))
    assert status == 400 and "only one of" in answer["error"]["message"]


def test_a_grammar_ends_by_itself_where_no_token_does(server: EmbeddedServer) -> None:
    body = {"input_ids": [1, 2], "sampling_params": {"regex": "[ab]{3}", "ignore_eos": True}}
    _, answer = asyncio.run(post(server.url, "/generate", body))
    assert re.fullmatch("[ab]{3}", _text(answer)) and answer["meta_info"]["finish_reason"]["type"] == "stop"


def _text(answer: dict[str, Any]) -> str:
    return load().decode(answer["output_ids"])


def test_no_token_that_opens_a_turn_is_allowed(chat: ChatModel) -> None:
    grammars = Grammars(chat, len(chat.tokenizer))
    matcher = grammars.matcher("json_schema", '{"type": "string"}', chat.stop_ids, chat.encode('"a'))
    allowed = matcher.allowed()
    for text in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"):
        assert not allowed[chat.tokenizer.id(text) or 0]
    assert allowed[chat.encode("b")[0]] and allowed[chat.encode('"')[0]]


def test_a_vocabulary_that_cannot_say_it_is_told(chat: ChatModel) -> None:
    grammars = Grammars(chat, 10)  # logits for the first tokens alone, none of them a letter
    with pytest.raises(Refused, match="no token of the vocabulary"):
        grammars.matcher("regex", "[a-z]", [2])


def test_a_grammar_that_has_ended_is_not_gone_on_with(server: EmbeddedServer, chat: ChatModel) -> None:
    prompt = [1, *chat.encode("ab"), chat.turn_end]
    body = {"input_ids": prompt, "grammar_tokens": len(prompt) - 1}
    body["sampling_params"] = {"regex": "ab", "stop_token_ids": list(chat.stop_ids)}
    status, answer = asyncio.run(post(server.url, "/generate", body))
    assert status == 400 and "nothing may follow" in answer["error"]["message"]


def test_output_that_is_none_of_the_grammars_is_refused(chat: ChatModel) -> None:
    with pytest.raises(Refused, match="does not allow token"):
        Grammars(chat, len(chat.tokenizer)).matcher("regex", "a+", chat.stop_ids, chat.encode("b"))


def test_sglang_gets_the_grammar_in_its_own_parameter() -> None:
    fields = sglang_wire.sampling(PARAMS)
    assert fields["structural_tag"] == ANSWER and "grammar" not in fields
    assert "structural_tag" not in sglang_wire.sampling(SamplingParams())


def test_sglang_is_not_asked_to_go_on_in_the_middle_of_a_grammar(server: EmbeddedServer) -> None:
    """It has no word for that, and would begin the grammar anew."""

    async def run(engine: SGLangEngine) -> None:
        engine._info = _of_sglang  # type: ignore[method-assign]
        with pytest.raises(EngineError, match="no grammar"):
            await engine.generate([1, 2, 3], replace(PARAMS, grammar_tokens=1))

    use(server.url, run)


async def _of_sglang(path: str) -> list[dict[str, Any]]:
    return [{"version": "0.5.23"}]
