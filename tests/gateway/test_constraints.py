"""Schemas and forced calls, through the official SDKs and the real engine: a random model, so that whatever an answer
obeys it obeys because it must. In all forms of calls, streamed and not, in conversations that stay exact."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from katcore.engine import Generation, SamplingParams
from katcore.engine.embedded.server import EmbeddedServer
from katcore.engine.sglang import SGLangEngine
from katcore.gateway.model import TokenModel
from katcore.gateway.server import Gateway
from katcore.gateway.session import Caps, Session
from katcore.model.folder import ChatModel
from katcore.model.schemas import unenforced
from katcore.records import Call, Node
from tests.support.family_templates import FAMILIES
from tests.support.gateway_fakes import FakeEngine, StreamingFake, bash_call, opened
from tests.support.obeying_models import obeying
from tests.support.posted import PATHS, posted
from tests.support.sdk_clients import AGENTS, Base

CAPS = Caps(calls=200, tokens=1_000_000, seconds=3600.0, context=8000, completion=1500)
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["good", "bad"]},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "notes": {"type": "array", "items": {"type": "string", "maxLength": 6}, "maxItems": 2},
    },
    "required": ["verdict", "score", "notes"],
    "additionalProperties": False,
}
LOOK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "maxLength": 8},
        "mode": {"type": "string", "enum": ["read", "list"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "deep": {"type": "boolean"},
        "at": {"$ref": "#/$defs/place"},
    },
    "required": ["path", "mode", "count"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "array", "items": {"type": "integer", "maximum": 9}, "minItems": 1, "maxItems": 2}},
}
DONE: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = {"look": LOOK, "done": DONE}
OPENING = {"qwen3", "glm"}
"""Families whose models may think before they answer."""


class Seen(SGLangEngine):
    """Remembers the ids that went in and came out."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seen: list[tuple[list[int], list[int]]] = []

    async def stream(
        self, input_ids: list[int], params: SamplingParams, rid: str = ""
    ) -> AsyncGenerator[Generation, None]:
        output: list[int] = []
        self.seen.append((list(input_ids), output))
        async for part in super().stream(input_ids, params, rid):
            output += part.token_ids
            yield part


@pytest.fixture(scope="module", params=list(FAMILIES))
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    return obeying(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def url(chat: ChatModel) -> Iterator[str]:
    with EmbeddedServer(chat.folder) as running:
        yield running.url


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "journal", tcp=("127.0.0.1", 0), keep_alive_s=0.2) as running:
        yield running


@pytest.fixture
def engine(gateway: Gateway, url: str) -> Iterator[Seen]:
    made = Seen(url)
    yield made
    gateway.call(made.close())


@pytest.fixture
def session(gateway: Gateway, engine: Seen, chat: ChatModel) -> Session:
    return opened(gateway, TokenModel(engine, chat, "tiny"), caps=CAPS)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=AGENTS, ids=[agent.name for agent in AGENTS])
def agent(request: pytest.FixtureRequest, gateway: Gateway, session: Session, streamed: bool) -> Base:
    made: Base = request.param(f"http://127.0.0.1:{gateway.port}", session.key, stream=streamed, max_retries=0)
    made.tools = False
    return made


def schema_for(agent: Base, schema: dict[str, Any] = ANSWER) -> dict[str, Any]:
    """The options by which the SDK's user asks for a schema."""
    if agent.name == "anthropic":
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    if agent.name == "gemini":
        return {"response_mime_type": "application/json", "response_json_schema": schema}
    named = {"name": "answer", "schema": schema, "strict": True}
    if agent.name == "openai-chat":
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"text": {"format": {"type": "json_schema", **named}}}


def tools_for(agent: Base) -> dict[str, Any]:
    if agent.name == "anthropic":
        return {"tools": [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()]}
    if agent.name == "gemini":
        declared = [{"name": name, "parameters_json_schema": schema} for name, schema in TOOLS.items()]
        return {"tools": [{"function_declarations": declared}]}
    functions = [{"name": name, "parameters": schema} for name, schema in TOOLS.items()]
    if agent.name == "openai-chat":
        return {"tools": [{"type": "function", "function": function} for function in functions]}
    return {"tools": [{"type": "function", "strict": False, **function} for function in functions]}


def forced(agent: Base, name: str, *, one: bool = False) -> dict[str, Any]:
    """The options that force a tool, or any where there is no name; `one`: one call at most."""
    if agent.name == "anthropic":
        choice: Any = {"type": "tool", "name": name} if name else {"type": "any"}
        choice |= {"disable_parallel_tool_use": True} if one else {}
        return {**tools_for(agent), "tool_choice": choice}
    if agent.name == "gemini":  # which has no word for one call: a named tool is called once
        names = [name] if name else ["look"] if one else []
        config = {"mode": "ANY"} | ({"allowed_function_names": names} if names else {})
        return {**tools_for(agent), "tool_config": {"function_calling_config": config}}
    named = {"name": name} if agent.name == "openai-responses" else {"function": {"name": name}}
    more = {"parallel_tool_calls": False} if one else {}
    return {**tools_for(agent), "tool_choice": {"type": "function", **named} if name else "required", **more}


def ask(agent: Base, **options: Any) -> Any:
    return agent.ask(**copy.deepcopy(options))


def exact(gateway: Gateway, session: Session, engine: Seen) -> tuple[list[Node], list[Call]]:
    """The trace of a session in which every call's path is the very ids that the engine saw."""
    trace = gateway.close_session(session)
    assert len(trace.calls) == len(engine.seen)
    for call, (prompt, output) in zip(trace.calls, engine.seen):
        ids: list[int] = []
        node = call.node
        while node is not None:
            ids = (trace.nodes[node].token_ids or []) + ids
            node = trace.nodes[node].parent
        assert ids == prompt + output
    return trace.nodes, trace.calls


def test_a_conversation_of_schemas_and_forced_calls(
    agent: Base, gateway: Gateway, session: Session, engine: Seen, chat: ChatModel
) -> None:
    agent.user("Look first.")
    said = ask(agent, **forced(agent, "look"))
    ((identity, name, arguments),) = said.calls
    assert name == "look" and said.stop == "tool_calls" and not said.text.strip()
    jsonschema.validate(arguments, LOOK)
    agent.results([(identity, "[exit 0]")])
    said = ask(agent, **tools_for(agent), **schema_for(agent))
    while said.calls:  # it may call a tool instead, in the same form
        for _, name, arguments in said.calls:
            jsonschema.validate(arguments, TOOLS[name])
        agent.results([(identity, "[exit 0]") for identity, *_ in said.calls])
        said = ask(agent, **tools_for(agent), **schema_for(agent))
    jsonschema.validate(json.loads(said.text), ANSWER)
    agent.user("And now?")
    said = ask(agent, **forced(agent, ""))
    assert said.calls and {name for _, name, _ in said.calls} <= set(TOOLS)
    for _, name, arguments in said.calls:
        jsonschema.validate(arguments, TOOLS[name])
    agent.results([(identity, "[exit 0]") for identity, *_ in said.calls])
    said = ask(agent, **forced(agent, "", one=True))
    assert len(said.calls) == 1
    nodes, calls = exact(gateway, session, engine)

    assert {node.lineage for node in nodes} == {"main"}
    assert all(call.sampling.grammar for call in calls)
    assert all(call.outcome in (None, "ok") for node in nodes for call in node.tool_calls), "as their results say"
    assert json.loads(calls[0].sampling.grammar or "")["type"] == "structural_tag"


def test_answers_by_a_schema_without_tools(
    agent: Base, gateway: Gateway, session: Session, engine: Seen, chat: ChatModel
) -> None:
    for _ in range(3):
        agent.user("Judge it.")
        said = ask(agent, **schema_for(agent))
        assert said.stop == "stop" and not said.calls
        jsonschema.validate(json.loads(said.text), ANSWER)
    nodes, _ = exact(gateway, session, engine)
    thoughts = [node.message["reasoning_content"] for node in nodes if (node.message or {}).get("reasoning_content")]
    assert not thoughts or chat.folder.name in OPENING
    sampled = [node for node in nodes if node.sampled]
    assert len(sampled) == 3 and all(len(node.engine_logprobs or []) for node in sampled)


# ------------------------------------------------------------------ one family is enough


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    return obeying("coder", tmp_path_factory.mktemp("models") / "coder")


USER = {"role": "user", "content": "Fix it."}


def refused(gateway: Gateway, dialect: str, body: dict[str, Any], chat: ChatModel | None = None) -> str:
    """The words of the 400 that a request gets; the engine has not seen it."""
    engine = FakeEngine(lambda n: "x", chat=chat)
    session = opened(gateway, engine)
    status, answer = posted(session, PATHS[dialect], {"messages": [USER], "input": "Fix it.", "max_tokens": 9, **body})
    assert status == 400 and engine.seen == [], answer
    trace = gateway.close_session(session)
    assert trace.calls == [] and trace.stop is None
    return str(answer["error"]["message"])


def chat_schema(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("chat", chat_schema({"not": {"const": 3}}), "response_format.json_schema.schema: nothing here enforces not at #"),
    ("chat", chat_schema(None), "response_format.json_schema.schema must be an object"),
    ("chat", {"response_format": {"type": "xml"}}, "response_format: the type 'xml'"),
    ("chat", {"response_format": "json"}, "response_format must be an object"),
    ("chat", {"n": 2}, "n must be 1"),
    ("chat", {"seed": "x"}, "seed must be a whole number"),
    ("chat", {"parallel_tool_calls": "no"}, "parallel_tool_calls must be true or false"),
    ("chat", {"reasoning_effort": 3}, "reasoning_effort must be a string"),
    ("chat", {"tool_choice": "required"}, "tool_choice: there is no tool"),
    ("chat", {"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice: there is no tool 'f'"),
    ("responses", {"text": {"format": {"type": "json_schema", "schema": {"if": {}}}}}, "text.format.schema: nothing"),
    ("responses", {"text": {"format": {"type": "grammar"}}}, "text.format: the type 'grammar'"),
    ("responses", {"reasoning": {"effort": 3}}, "reasoning.effort must be a string"),
    (
        "messages",
        {"output_format": {"type": "json_schema", "schema": {"uniqueItems": True}}},
        "output_format.schema: nothing here enforces uniqueItems at #",
    ),
    ("messages", {"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema must be an"),
    ("messages", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": 1}}, "must be true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "body", "words"), REFUSED)
def test_what_cannot_be_had_is_refused_by_its_name(
    gateway: Gateway, dialect: str, body: dict[str, Any], words: str
) -> None:
    assert words in refused(gateway, dialect, body)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "its schema lists none"),
        ({"type": "object", "required": ["a"]}, "requires 'a'"),
        ({"type": "object", "properties": {"a</parameter>": {}}}, "cannot be written"),
    ],
)
def test_calls_that_a_form_cannot_write_are_refused(
    gateway: Gateway, coder: ChatModel, parameters: Any, words: str
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert words in refused(gateway, "chat", {"tools": [tool], "tool_choice": "required"}, coder)


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (ANSWER, ""),
        (LOOK, ""),
        ({"type": "object", "properties": {"a": {"multipleOf": 3}}}, "multipleOf at #/properties/a"),
        ({"$defs": {"a": {"contains": {}}}}, "contains at #/$defs/a"),
        ({"items": {"format": "colour"}}, "format 'colour' at #/items"),
        ({"pattern": "a", "maxLength": 3}, "format, pattern and length together at #"),
        ({"allOf": [{}, {}]}, "allOf of several at #"),
        ({"type": "object", "anyOf": [{}]}, "type beside anyOf at #"),
        ({"anyOf": [{"type": "null"}], "description": "x"}, ""),
        ({"$ref": "http://a/b"}, "a reference to another document at #"),
        ({"required": ["a"]}, "required 'a', which properties lack, at #"),
        ({"type": "string", "enum": ["a", 1]}, "a value of another type at #"),
        ({"type": "boolean", "const": 1}, "a value of another type at #"),
        ({"enum": ["a", 1, None, True]}, ""),
    ],
)
def test_what_the_library_reads_over_is_found(schema: Any, found: str) -> None:
    assert unenforced(schema) == found


# ------------------------------------------------------------------ one call at most


TWO = bash_call("ls") + "\n" + bash_call("rm x")
BASH = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("make", [FakeEngine, StreamingFake])
@pytest.mark.parametrize("stream", [False, True])
def test_a_second_call_is_cut_off_and_the_first_stays_as_sampled(
    gateway: Gateway, make: type[FakeEngine], stream: bool
) -> None:
    engine = make(lambda n: [f"I look.\n{TWO}", "Done."][n])
    session = opened(gateway, engine)
    body = {"messages": [USER], "tools": [BASH], "parallel_tool_calls": False}
    status, _ = posted(session, PATHS["chat"], {**body, "stream": stream})
    assert status == 200
    nodes = session.tree.nodes
    message = dict(nodes[-1].message or {})
    (call,) = message["tool_calls"]
    assert (
        json.loads(call["function"]["arguments"]) == {"command": "ls"}
        and session.calls[0].finish_reason == "tool_calls"
    )
    result = {"role": "tool", "tool_call_id": call["id"], "content": "[exit 0]"}
    posted(session, PATHS["chat"], {**body, "messages": [USER, message, result]})
    trace = gateway.close_session(session)
    ((start, end),) = trace.nodes[trace.calls[0].node or 0].sampled
    kept = (trace.nodes[trace.calls[0].node or 0].token_ids or [])[start:end]
    sampled = engine.seen[0][1]
    assert kept == sampled[: len(kept)] and "rm x" not in engine.chat.decode(kept)
    before = engine.seen[0][0] + kept + [engine.chat.turn_end]
    assert engine.seen[1][0][: len(before)] == before, "the next prompt goes on behind what was kept"
    assert {node.lineage for node in trace.nodes} == {"main"}
    assert all(call.sampling.grammar is None for call in trace.calls)


@pytest.mark.parametrize("parallel", [None, True])
def test_several_calls_are_several_unless_one_is_asked_for(gateway: Gateway, parallel: bool | None) -> None:
    session = opened(gateway, FakeEngine(lambda n: TWO))
    body = {"messages": [USER], "tools": [BASH], **({} if parallel is None else {"parallel_tool_calls": parallel})}
    _, answer = posted(session, PATHS["chat"], body)
    assert len(answer["choices"][0]["message"]["tool_calls"]) == 2


def test_one_call_alone_keeps_its_own_end(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: bash_call("ls"))
    session = opened(gateway, engine)
    posted(session, PATHS["messages"], {
        "messages": [USER], "max_tokens": 99, "tools": [{"name": "bash", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    })  # fmt: skip
    trace = gateway.close_session(session)
    assert (trace.nodes[-1].token_ids or [])[-len(engine.seen[0][1]) :] == engine.seen[0][1]


# ------------------------------------------------------------------ what is only noted


AGENTS_SEND: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("responses", {"reasoning": {"effort": "medium"}, "parallel_tool_calls": True, "text": {"verbosity": "low"}},
     {"reasoning": {"effort": "medium"}, "parallel_tool_calls": True, "verbosity": "low"}),
    ("messages", {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "high"}},
     {"thinking": {"type": "enabled", "budget_tokens": 1024}, "effort": "high"}),
    ("chat", {"reasoning_effort": "low", "seed": 3, "response_format": {"type": "text"}, "n": 1},
     {"reasoning_effort": "low", "seed": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "body", "asked"), AGENTS_SEND)
def test_what_agents_always_send_is_noted_and_constrains_nothing(
    gateway: Gateway, dialect: str, body: dict[str, Any], asked: dict[str, Any]
) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Yes."))
    status, _ = posted(session, PATHS[dialect], {"messages": [USER], "input": "Fix it.", "max_tokens": 9, **body})
    (call,) = gateway.close_session(session).calls
    assert status == 200 and call.asked == asked and call.sampling.grammar is None


@pytest.mark.parametrize(("own", "same"), [(True, True), (False, False)])
def test_a_seed_repeats_where_the_agents_sampling_stands(gateway: Gateway, own: bool, same: bool) -> None:
    engine = FakeEngine(lambda n: "Yes.")
    for name in ("one", "two"):
        session = opened(gateway, engine, name, agent_sampling=own, seed=len(name) if name == "one" else 99)
        for seed in (7, 7, 8):
            posted(session, PATHS["chat"], {"messages": [USER], "seed": seed, "user": str(len(engine.params))})
    first, again, other, elsewhere, *_ = [params.seed for params in engine.params]
    assert (first == again) is same and len({first, other, elsewhere}) == 3


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ({"parameters": [1]}, "tool_choice"),
        ({"parameters": {"type": "object", "properties": [1]}}, "tool_choice"),
        ({"parameters": {"type": "object", "properties": {"a": {"enum": 3}}}}, "tool_choice: not a JSON Schema"),
        ({"name": None}, "its name has other signs"),
    ],
)
def test_tools_whose_parameters_are_no_schema_are_refused(
    gateway: Gateway, coder: ChatModel, tool: dict[str, Any], words: str
) -> None:
    tools = [{"type": "function", "function": {"name": "f", **tool}}]
    assert words in refused(gateway, "chat", {"tools": tools, "tool_choice": "required"}, coder)


@pytest.mark.parametrize("schema", [{"anyOf": 3}, {"enum": 3}, {"properties": {"a": {"required": {"b": 1}}}}])
def test_a_schema_that_is_none_never_breaks_the_session(gateway: Gateway, coder: ChatModel, schema: Any) -> None:
    engine = FakeEngine(lambda n: "x", chat=coder)
    session = opened(gateway, engine)
    status, _ = posted(session, PATHS["chat"], {"messages": [USER], **chat_schema(schema)})
    assert status in (200, 400) and session.fault is None  # the library may refuse what passes here


def test_a_bad_schema_is_the_librarys_400_in_the_agents_words(
    gateway: Gateway, session: Session, agent: Base, streamed: bool
) -> None:
    agent.user("Judge it.")
    with pytest.raises(Exception, match="Unsupported type") as caught:
        ask(agent, **schema_for(agent, {"type": "object", "properties": {"a": {"type": "foo"}}}))
    assert getattr(caught.value, "code" if agent.name == "gemini" else "status_code") == 400
    field = {
        "anthropic": "output_config.format.schema",
        "openai-chat": "response_format.json_schema.schema",
        "gemini": "responseJsonSchema",
    }
    assert f"{field.get(agent.name, 'text.format.schema')}: " in str(caught.value)
    trace = gateway.close_session(session)
    assert trace.stop is None and [call.node for call in trace.calls] == [None]
