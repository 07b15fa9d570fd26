"""Qwen3, Qwen3-Coder, GLM and DeepSeek: their calls are read, and their conversations stay exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from katcore.gateway.prompt import History
from katcore.gateway.server import Gateway
from katcore.gateway.session import Trace
from katcore.model.folder import ChatModel
from tests.support.family_templates import FAMILIES, family
from tests.support.gateway_fakes import FakeEngine, opened, post, say

SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "count": {"type": "integer"}, "deep": {"type": "boolean"}},
}
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Look.", "parameters": SCHEMA}}]
USER = {"role": "user", "content": "Fix it."}
ARGUMENTS = {"path": "a <b> & 12\n  c", "count": 3, "deep": True}
ENDS = {"qwen3": "<|im_end|>", "coder": "<|im_end|>", "glm": "<|observation|>", "deepseek": "<｜end▁of▁sentence｜>"}


@pytest.fixture(params=list(FAMILIES))
def chat(request: pytest.FixtureRequest, tmp_path: Path) -> ChatModel:
    return family(request.param, tmp_path / request.param)


class Exact(FakeEngine):
    """Samples the text as it is given, stop token included."""

    def __init__(self, chat: ChatModel, texts: list[str]) -> None:
        super().__init__(lambda n: texts[n], chat=chat, stop=False)

    async def generate(self, input_ids: list[int], params: Any) -> Any:
        made = await super().generate(input_ids, params)
        ended = bool(made.token_ids) and made.token_ids[-1] in self.chat.stop_ids
        return type(made)(made.token_ids, made.logprobs, "stop" if ended else "length", made.versions, len(input_ids))


def written(chat: ChatModel, message: dict[str, Any]) -> str:
    """How the family's own template writes a message, up to the stop token that the model samples after it."""
    return chat.decode(chat.encode_completion(message))


def called(*arguments: dict[str, Any], text: str = "") -> dict[str, Any]:
    calls = [{"type": "function", "function": {"name": "look", "arguments": json.dumps(each)}} for each in arguments]
    return {"role": "assistant", "content": text, "tool_calls": calls}


def exact(trace: Trace, engine: FakeEngine) -> None:
    for call in trace.calls:
        ids: list[int] = []
        node: int | None = call.node
        while node is not None:
            ids = (trace.nodes[node].token_ids or []) + ids
            node = trace.nodes[node].parent
        assert any(ids == prompt + completion for prompt, completion in engine.seen)


def test_calls_come_back_as_they_were_meant(chat: ChatModel) -> None:
    message = called(ARGUMENTS, {"path": "x"}, text="I look.")
    ids = chat.encode_completion(message)
    read = chat.parse_completion(ids, tools=TOOLS)
    assert read.stopped and read.message["content"].strip() == "I look."
    found = [json.loads(call["function"]["arguments"]) for call in read.message["tool_calls"]]
    assert found == [ARGUMENTS, {"path": "x"}]
    assert [(call.name, call.outcome) for call in read.tool_calls] == [("look", None)] * 2
    for call, given in zip(read.tool_calls, (ARGUMENTS, {"path": "x"})):
        start, end = call.span or (0, 0)
        text = chat.decode(ids[start:end])
        assert str(given["path"])[:5] in text and "look" in text


def test_a_call_that_was_cut_off_is_invalid(chat: ChatModel) -> None:
    ids = chat.encode_completion(called(ARGUMENTS))
    cut = ids[: len(ids) // 2]
    read = chat.parse_completion(cut, tools=TOOLS)
    assert not read.stopped and [call.outcome for call in read.tool_calls] == ["invalid_arguments"]


def test_what_is_settled_never_changes(chat: ChatModel) -> None:
    """Every prefix of a completion gives prefixes of what the whole says, and in the end nearly all of it."""
    ids = chat.encode("<think>\nLet me see.\n</think>\n\n") + chat.encode_completion(
        called({"path": "x"}, text="I look.")
    )
    whole = chat.parse_completion(ids, tools=TOOLS).message
    before = ("", "")
    for size in range(len(ids)):
        reasoning, text = chat.settled(ids[:size])
        assert (whole.get("reasoning_content") or "").startswith(reasoning)
        assert (whole.get("content") or "").startswith(text), (text, whole)
        assert len(reasoning) >= len(before[0]) and len(text) >= len(before[1])
        before = (reasoning, text)
    assert before[1].strip() == (whole["content"] or "").strip()


@pytest.mark.parametrize("history", ["sampled", "template"])
def test_a_conversation_with_tools_is_exact(gateway: Gateway, chat: ChatModel, history: History) -> None:
    texts = [
        written(chat, called(ARGUMENTS, {"path": "y"}, text="I look.")),
        written(chat, called({"path": "z"})),
        written(chat, {"role": "assistant", "content": "Done."}),
        written(chat, {"role": "assistant", "content": "Yes."}),
    ]
    engine = Exact(chat, texts)
    session = opened(gateway, engine, history=history)
    messages: list[dict[str, Any]] = [USER]
    for _ in range(3):
        messages.append(say(session, messages, tools=TOOLS))
        calls = messages[-1].get("tool_calls") or []
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": "[exit 0]"} for call in calls]
    messages.append({"role": "user", "content": "Sure?"})
    say(session, messages, tools=TOOLS)
    trace = gateway.close_session(session)
    exact(trace, engine)
    for at in range(1, 4):
        before = engine.seen[at - 1][0] + engine.seen[at - 1][1]
        assert engine.seen[at][0][: len(before)] == before
    assert {node.lineage for node in trace.nodes} == {"main"}
    # Nothing was sampled in any other way than the template writes it: so the last prompt is the template's own.
    assert chat.decode(engine.seen[-1][0]) == chat.render(messages, TOOLS, add_generation_prompt=True)


def test_old_thinking_stays_as_sampled_or_goes_with_the_template(gateway: Gateway, chat: ChatModel) -> None:
    end = chat.decode([chat.end_of({"content": "?"})])
    texts = [f"<think>\nhm\n</think>\n\nDone.{end}", f"Yes.{end}"]
    prompts = {}
    for history in ("sampled", "template"):
        engine = Exact(chat, texts)
        session = opened(gateway, engine, history, history=history)
        answer = say(session, [USER])
        say(session, [USER, {k: v for k, v in answer.items() if k != "reasoning_content"}, USER])
        exact(gateway.close_session(session), engine)
        prompts[history] = chat.decode(engine.seen[1][0])
    assert "hm\n</think>" in prompts["sampled"], "what was sampled is what the engine saw"
    tail = chat.render([USER, {"role": "assistant", "content": "Done."}, USER], None, add_generation_prompt=True)
    after = tail[tail.index("Done.") + len("Done.") :]
    assert prompts["sampled"].endswith("Done." + after), "and what is new is what the template writes"


def test_a_turn_that_was_cut_off_goes_on(gateway: Gateway, chat: ChatModel) -> None:
    engine = Exact(chat, ["no end here", written(chat, {"role": "assistant", "content": "Done."})])
    session = opened(gateway, engine)
    _, first = post(session, {"messages": [USER]})
    answer = first["choices"][0]["message"]
    assert first["choices"][0]["finish_reason"] == "length"
    say(session, [USER, answer, USER])
    trace = gateway.close_session(session)
    exact(trace, engine)
    before = engine.seen[0][0] + engine.seen[0][1]
    assert engine.seen[1][0][: len(before)] == before
