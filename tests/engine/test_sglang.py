"""The client against servers that fail as real ones do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from katcore.engine import Generation, SamplingParams
from katcore.engine.sglang import ContextOverflow, GrammarRefused, SGLangEngine
from katcore.errors import EngineError

PARAMS = SamplingParams(temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, max_new_tokens=4, stop_token_ids=(2,), seed=11)
META = {
    "id": "x",
    "finish_reason": {"type": "stop", "matched": 2},
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "cached_tokens": 1,
    "weight_version": "v7",
    "output_token_logprobs": [[-0.5, 9, None], [-0.25, 2, None]],
}
GOOD = {"text": "", "output_ids": [9, 2], "meta_info": META}


class Server:
    """Answers /generate with one (status, body) after another; None cuts the connection."""

    def __init__(self, *answers: tuple[int, Any] | None) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json() if request.can_read_body else {})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body = answer
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    def use(self, work: Callable[[SGLangEngine], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            engine = SGLangEngine(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            try:
                return await work(engine)
            finally:
                await engine.close()
                await runner.cleanup()

        return asyncio.run(run())


def generate(server: Server) -> Generation:
    found: Generation = server.use(lambda engine: engine.generate([1, 2, 3], PARAMS))
    return found


def test_what_is_sent_and_what_is_read() -> None:
    server = Server((200, GOOD))
    wanted = Generation([9, 2], [-0.5, -0.25], "stop", [(0, "v7")], prompt_tokens=3, cached_tokens=1)
    assert generate(server) == wanted
    (body,) = server.bodies
    assert body["input_ids"] == [1, 2, 3] and body["return_logprob"] is True
    sent = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "max_new_tokens": 4, "stop_token_ids": [2]}
    assert sent.items() <= body["sampling_params"].items() and body["sampling_params"]["sampling_seed"] == 11


def test_a_server_that_names_version_spans_and_one_that_names_none() -> None:
    spans = [{"version": "a", "start": 0, "end": 1}, {"version": "b", "start": 1, "end": 2}]
    assert generate(Server((200, GOOD | {"meta_info": META | {"weight_versions": spans}}))).versions == [
        (0, "a"),
        (1, "b"),
    ]
    bare = {key: value for key, value in META.items() if key != "weight_version"}
    assert generate(Server((200, {"meta_info": bare}))).versions == [(0, "default")]


@pytest.mark.parametrize("failure", [None, (500, "worker died"), (503, "")])
def test_a_passing_failure_is_retried(failure: tuple[int, Any] | None) -> None:
    server = Server(failure, failure, (200, GOOD))
    assert generate(server).token_ids == [9, 2] and len(server.bodies) == 3


@pytest.mark.slow
def test_a_lasting_failure_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="500: it broke"):
        generate(Server((500, {"error": {"message": "it\n broke"}})))
    with pytest.raises(EngineError, match="does not answer"):
        asyncio.run(SGLangEngine("http://127.0.0.1:9").flush_cache())


def test_a_refusal_is_not_retried() -> None:
    server = Server((400, {"error": {"message": "top_k is wrong"}}))
    with pytest.raises(EngineError, match="top_k is wrong") as caught:
        generate(server)
    assert len(server.bodies) == 1 and not isinstance(caught.value, ContextOverflow)


@pytest.mark.parametrize(
    "message",
    [
        "The input (600 tokens) is longer than the model's context length (512 tokens).",
        "Requested token count exceeds the model's maximum context length of 512 tokens. You requested …",
    ],
)
def test_sglangs_words_for_a_full_context_are_typed(message: str) -> None:
    with pytest.raises(ContextOverflow):
        generate(Server((400, {"object": "error", "message": message, "code": 400})))


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        [],
        {"meta_info": {}},
        GOOD | {"output_ids": [9, 3]},
        GOOD | {"meta_info": META | {"output_token_logprobs": [[None, 9, None]]}},
    ],
)
def test_an_answer_in_another_shape_is_an_engine_error(body: Any) -> None:
    with pytest.raises(EngineError, match=r"shape|no JSON"):
        generate(Server((200, body)))


def test_weights_that_were_not_updated_are_an_error() -> None:
    server = Server((200, {"success": False, "message": "no such folder"}))
    with pytest.raises(EngineError, match="no such folder"):
        server.use(lambda engine: engine.update_weights("/nowhere", "v1"))
    assert server.bodies == [{"model_path": "/nowhere", "weight_version": "v1", "flush_cache": True}]


def streamed(*events: dict[str, Any] | str) -> list[Generation]:
    """What the client makes of events."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    server = Server((200, "".join(f"data: {line}\n\n" for line in lines)))

    async def work(engine: SGLangEngine) -> list[Generation]:
        return [part async for part in engine.stream([1, 2, 3], PARAMS)]

    found: list[Generation] = server.use(work)
    assert all(body["stream"] is True for body in server.bodies)
    return found


def event(ids: list[int], count: int, finish: str = "", **more: Any) -> dict[str, Any]:
    reason = {"type": finish} if finish else None
    pairs = [[-token / 10, token, None] for token in ids]
    meta = META | {"output_token_logprobs": pairs, "completion_tokens": count, "finish_reason": reason} | more
    return {"output_ids": ids, "meta_info": meta}


SPANS = {"weight_versions": [{"version": "a", "start": 0, "end": 2}, {"version": "b", "start": 2, "end": 4}]}


@pytest.mark.parametrize(
    "events",
    [
        [event([1], 1), event([1, 2, 3], 3, **SPANS), event([1, 2, 3, 4], 4, "stop", **SPANS)],
        [event([1], 1), event([2, 3], 3, **SPANS), event([4], 4, "stop", **SPANS)],
    ],
    ids=["events that repeat", "events that do not"],
)
def test_both_kinds_of_streams_give_what_is_new(events: list[dict[str, Any]]) -> None:
    parts = streamed(*events, "[DONE]")
    assert [part.token_ids for part in parts] == [[1], [2, 3], [4]]
    assert [part.logprobs for part in parts] == [[-0.1], [-0.2, -0.3], [-0.4]]
    assert [part.versions for part in parts] == [[(0, "v7")], [(0, "a"), (1, "b")], [(0, "b")]]
    assert [part.finish_reason for part in parts] == ["", "", "stop"]


@pytest.mark.slow
def test_errors_within_a_stream_are_typed() -> None:
    with pytest.raises(ContextOverflow):
        streamed({"error": {"message": "longer than the model's context length (5 tokens)", "code": 400}})
    with pytest.raises(EngineError, match="500: it broke"):
        streamed({"error": {"message": "it broke", "code": 500}})
    with pytest.raises(EngineError, match="shape"):
        streamed(event([1], 1), event([7], 5), "[DONE]")
    with pytest.raises(EngineError, match="without a finish reason"):
        streamed("[DONE]")


def test_a_stream_that_is_cut_goes_on_behind_what_there_is() -> None:
    first = "data: " + json.dumps(event([7, 8], 2)) + "\n\n"
    last = "data: " + json.dumps(event([9], 1, "stop")) + "\n\ndata: [DONE]\n\n"
    server = Server((200, first), (200, last))

    async def work(engine: SGLangEngine) -> list[Generation]:
        return [part async for part in engine.stream([1, 2, 3], PARAMS)]

    assert [part.token_ids for part in server.use(work)] == [[7, 8], [9]]
    one, other = server.bodies
    assert (other["input_ids"], other["sampling_params"]["max_new_tokens"]) == ([1, 2, 3, 7, 8], 2)
    assert one["rid"] != other["rid"]


NO_GRAMMAR = (
    "Grammar-based generation (json_schema) is not supported when the server is launched with --grammar-backend none"
)


def given_up(status: int, message: str) -> dict[str, Any]:
    finish = {"type": "abort", "message": message, "status_code": status, "err_type": "BadRequestError"}
    return {"text": "", "meta_info": {"id": "x", "finish_reason": finish, "prompt_tokens": 1, "completion_tokens": 0}}


def test_a_grammar_that_sglang_does_not_take_is_refused_whole_and_streamed() -> None:
    """A stream has begun by then: SGLang says it in the finish reason."""
    whole = Server((400, {"error": {"message": NO_GRAMMAR}}))
    with pytest.raises(GrammarRefused, match="grammar-backend none"):
        generate(whole)
    with pytest.raises(GrammarRefused, match="grammar-backend none"):
        streamed(given_up(400, NO_GRAMMAR))
    assert len(whole.bodies) == 1


def test_a_stream_that_sglang_refuses_for_another_reason_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="no such LoRA") as caught:
        streamed(given_up(400, "no such LoRA"))
    assert not isinstance(caught.value, GrammarRefused)
