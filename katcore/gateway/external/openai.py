"""OpenAI-compatible endpoints: what they are sent, and what they answer, whole or as chunks.

An agent that speaks the same API has its messages, tools and other fields passed on as they came. Reasoning goes back
as the endpoint wrote it, under the name that it used: some forget what they thought, or refuse, without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from katcore.engine import SamplingParams
from katcore.gateway.dialects import ANY, Request
from katcore.gateway.external import reading
from katcore.gateway.external.passing import CACHE, given, lost, mark, others, sampling
from katcore.gateway.external.reading import Unreadable, count, table, text
from katcore.gateway.model import Answer
from katcore.gateway.passed_on import for_openai
from katcore.records import Json

PATH = "/chat/completions"
API = "an OpenAI-compatible endpoint"
NATIVE = "openai-chat"
PLAIN = ("role", "content", "tool_calls", "tool_call_id", "name")
REASONING = ("reasoning", "reasoning_details")
"""Names that endpoints use besides `reasoning_content`."""
FINISH = {
    "stop": "stop stop_sequence end_turn eos eos_token completed complete done finished success",
    "tool_calls": "tool_calls function_call tool_use tool_call",
    "length": "length max_tokens max_output_tokens max_completion_tokens model_length model_context_window_exceeded "
    "insufficient_system_resource",
    "content_filter": "content_filter content-filter content_filtered safety sensitive recitation blocklist "
    "prohibited_content spii moderation guardrail_intervened",
    "refusal": "refusal refused",
}
FINISH_REASONS = {word: kind for kind, words in FINISH.items() for word in words.split()}
FAILED = ("error", "network_error", "abort", "aborted", "cancelled", "malformed_function_call", "server_error")
SHARED = frozenset(
    ["parallel_tool_calls", "metadata", "user", "service_tier", "prompt_cache_key", "prompt_cache_retention",
     "safety_identifier", "seed"]
)  # fmt: skip
"""What agents of the Responses API may ask for that has the same name here."""
OTHERWISE = frozenset(["reasoning", "text", "include", "truncation", "client_metadata"])
"""What has another name here, or is about that API alone."""


def body(request: Request, params: SamplingParams, model: str, said: dict[str, None]) -> Json:
    """The request's body; `said` gets a line for each of the agent's wishes that is not passed on."""
    asked = given(request)
    native = request.dialect == NATIVE
    made: Json = {"model": model or request.model}
    made["messages"] = [_message(each, native, request.written.get(i)) for i, each in enumerate(request.messages)]
    if native:
        made |= others(asked, said)
    elif request.dialect == "gemini":
        made |= for_openai(request)
    elif request.dialect == "openai-responses":
        made |= _of_responses(asked, said)
    elif request.dialect:
        made |= _of_anthropic(asked, request, made["messages"], said)
    tools = [tool for tool in asked.get("tools") or [] if table(tool).get("type") == "function"] if native else []
    made |= {"tools": tools or request.tools} if tools or request.tools else {}
    if native and tools and asked.get("tool_choice"):
        made["tool_choice"] = asked["tool_choice"]
    elif request.forced:
        named = {"type": "function", "function": {"name": request.forced}}
        made["tool_choice"] = "required" if request.forced == ANY else named
    made |= {"stop": list(request.stop)} if request.stop else {}
    names = ("presence_penalty", "frequency_penalty")
    made |= {name: request.asked[name] for name in names if name in request.asked}
    return {**made, "max_completion_tokens": params.max_new_tokens, **sampling(request, params)}


def _message(message: Json, native: bool, written: Json | None) -> Json:
    """A message as it is sent; `written` is the endpoint's own, where it is one."""
    kept = {name: value for name, value in message.items() if name == "content" or value is not None}
    if not native:
        kept = {name: value for name, value in kept.items() if name in PLAIN}
    if written is None:
        return kept
    own = {name: written[name] for name in REASONING if name in written}
    reasoning = own or {name: written[name] for name in ("reasoning_content",) if name in written}
    return {name: value for name, value in kept.items() if name != "reasoning_content"} | reasoning


def _of_responses(asked: Json, said: dict[str, None]) -> Json:
    lost(asked, SHARED | OTHERWISE, API, said)
    made = {name: asked[name] for name in sorted(SHARED) if asked.get(name) is not None}
    wanted, told = table(asked.get("reasoning")), table(asked.get("text"))
    made |= {"reasoning_effort": wanted["effort"]} if wanted.get("effort") else {}
    made |= {"verbosity": told["verbosity"]} if told.get("verbosity") else {}
    form = table(told.get("format"))
    if form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type" and value is not None}
        return made | {"response_format": {"type": "json_schema", "json_schema": schema}}
    return made | ({"response_format": form} if form.get("type") == "json_object" else {})


def _of_anthropic(asked: Json, request: Request, messages: list[Json], said: dict[str, None]) -> Json:
    """Cache marks, of the system prompt and at the end of the conversation, and the output's format."""
    lost(asked, frozenset(["metadata", "output_config", "output_format", CACHE]), API, said)
    marks = [(messages[:1], mark(asked.get("system")))]
    turns = [turn for turn in asked.get("messages") or [] if isinstance(turn, dict)]
    found = [mark(turn.get("content")) for turn in turns]
    marks.append((messages[-1:], next((each for each in reversed(found) if each), table(asked.get(CACHE)) or None)))
    for at, wanted in marks:
        for message in at:
            if wanted and isinstance(message.get("content"), str) and message["content"]:
                message["content"] = [{"type": "text", "text": message["content"], CACHE: wanted}]
    config = table(asked.get("output_config"))
    form = table(config.get("format") or asked.get("output_format"))
    made = for_openai(request)
    if form.get("type") == "json_schema":
        schema = {"name": "output", "schema": form.get("schema"), "strict": True}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    return made


# ------------------------------------------------------------------ answers


def answer(given: Json, request: Request, seed: str, said: dict[str, None]) -> Answer:
    """The answer in the normalised form. Raises Unreadable, and what odd shapes raise."""
    choice = next(iter(given["choices"]))
    wrote = choice["message"]
    word = str(choice.get("finish_reason") or "stop").lower()
    if word in FAILED:
        raise Unreadable(f"the endpoint gave up: {word}")
    if word not in FINISH_REASONS:
        said[f"the endpoint ends answers with {word[:40]!r}, which is taken for stop"] = None
    finish = FINISH_REASONS.get(word, "stop")
    content, reasoning, refusal = _parts(wrote.get("content"))
    message: Json = {"role": "assistant", "content": content}
    reasoning = text(wrote.get("reasoning_content")) or text(wrote.get("reasoning")) or reasoning
    message |= {"reasoning_content": reasoning} if reasoning else {}
    message |= {name: wrote[name] for name in REASONING if wrote.get(name)}
    refusal = text(wrote.get("refusal")) or refusal
    if refusal:
        message |= {"content": content or refusal, "refusal": refusal}
        finish = finish if finish == "content_filter" else "refusal"
    called = wrote.get("tool_calls") or ([{"function": f}] if (f := wrote.get("function_call")) else [])
    made = reading.calls(called, seed, reading.taken(request.messages))
    message |= {"tool_calls": made} if made else {}
    if not made and message["content"] is None:
        message["content"] = ""
    usage = table(given.get("usage"))
    cached = count(table(usage.get("prompt_tokens_details")).get("cached_tokens"))
    counts = (count(usage.get("prompt_tokens")), cached, count(usage.get("completion_tokens")))
    return reading.answer(message, finish, counts)


def _parts(content: Any) -> tuple[str | None, str, str]:
    """Text, reasoning and refusal of a message's content; None where there is none. Unreadable."""
    if content is None or not isinstance(content, list):
        return (None if content is None else text(content)), "", ""
    found = {"text": "", "reasoning": "", "refusal": ""}
    for part in content:
        kind = str(table(part).get("type") or "text")
        if kind in ("thinking", "reasoning"):
            found["reasoning"] += text(part.get(kind) or part.get("text"))
        elif kind == "refusal":
            found["refusal"] += text(part.get("refusal"))
        elif kind in ("text", "output_text"):
            found["text"] += text(part)
        else:
            raise Unreadable(f"content of type {kind}")
    return found["text"], found["reasoning"], found["refusal"]


def assembled(events: Iterator[Any]) -> Json:
    """The answer that a stream of chunks makes. Unreadable when it ends before its end."""
    message: Json = {"role": "assistant", "content": None}
    calls: dict[Any, Json] = {}
    choice: Json = {"message": message, "finish_reason": None}
    made: Json = {"choices": [choice]}
    ended = False
    for event in events:
        if event is None:
            ended = True
            break
        if table(event).get("error"):
            return {"error": event["error"]}
        made |= {"usage": event["usage"]} if event.get("usage") else {}
        for each in event.get("choices") or []:
            if each.get("index") not in (None, 0):
                continue
            ended = ended or bool(each.get("finish_reason"))
            choice["finish_reason"] = each.get("finish_reason") or choice["finish_reason"]
            _add(message, calls, table(each.get("delta") or each.get("message")))
    if not ended:
        raise Unreadable("the stream was cut")
    if calls:
        message["tool_calls"] = list(calls.values())
    return made


def _add(message: Json, calls: dict[Any, Json], delta: Json) -> None:
    for name in ("content", "reasoning_content", "reasoning", "refusal", "reasoning_details"):
        more = delta.get(name)
        if isinstance(more, str | list) and isinstance(message.get(name), type(more)):
            message[name] += more
        elif more is not None:
            message[name] = more
    if table(delta.get("function_call")):
        delta = {**delta, "tool_calls": [{"index": 0, "function": delta["function_call"]}]}
    for each in delta.get("tool_calls") or []:
        identity, function = each.get("id"), table(each.get("function"))
        # Some write no index: what has an id of its own begins a call, and the rest goes on with the last one.
        at = each.get("index")
        at = at if at is not None else identity or (next(reversed(calls)) if calls else 0)
        call = calls.setdefault(at, {"id": None, "function": {"name": None, "arguments": None}})
        call["id"] = call["id"] or identity
        call["function"]["name"] = call["function"]["name"] or function.get("name")
        more, so_far = function.get("arguments"), call["function"]["arguments"]
        both = isinstance(so_far, str) and isinstance(more, str)
        call["function"]["arguments"] = so_far + more if both else more or so_far
