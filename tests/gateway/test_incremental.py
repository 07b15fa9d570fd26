"""What is known of a conversation is neither read nor rendered again, and nothing changes by that."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.gateway.dialects import BadRequest
from katcore.gateway.dialects.anthropic_messages import AnthropicMessages
from katcore.gateway.dialects.openai_chat import OpenAIChat
from katcore.gateway.dialects.openai_responses import OpenAIResponses
from katcore.gateway.incremental import IncrementalRenderer
from katcore.gateway.memo import KEPT, Derived, Memo
from katcore.gateway.prompt import Known, extend
from katcore.gateway.server import Gateway
from katcore.model.folder import ChatModel, load
from katcore.model.template import ChatTemplate
from tests.support.family_templates import FAMILIES, family
from tests.support.gateway_fakes import FakeEngine, opened, say

Message = dict[str, Any]
TOOL = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}


def turns(chat: ChatModel, seed: int, count: int, varied: float = 0.2) -> Iterator[tuple[list[Message], Known]]:
    """A growing conversation: what is known of it, and the new messages behind the last sampled turn."""
    draw = random.Random(seed)
    messages: list[Message] = [{"role": "system", "content": f"You are agent {seed}."}] if seed % 2 else []
    messages.append({"role": "user", "content": "Fix it."})
    for turn in range(count):
        calls = [
            {"id": f"c{turn}{n}", "type": "function", "function": {"name": "look", "arguments": json.dumps({"n": n})}}
            for n in range(draw.choice([0, 1, 2]) if draw.random() < varied else 1)
        ]
        said: Message = {"role": "assistant", "content": draw.choice(["I look.", "So <b>.\n"])}
        said |= {"reasoning_content": "I think."} if draw.random() < varied else {}
        messages.append({**said, "tool_calls": calls} if calls else {**said, "content": "Yes."})
        cut = draw.random() < varied / 2
        known = Known(len(messages), None if cut else chat.end_of(messages[-1]), cut)
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"out {turn}"})
        if not calls or draw.random() < varied:
            messages.append({"role": "user", "content": draw.choice(["Go on.", "  spaces ", "x" * 500])})
        yield list(messages), known


@pytest.mark.parametrize("name", ["small", *FAMILIES])
def test_the_short_way_gives_the_ids_of_the_long_one(name: str, tmp_path: Path) -> None:
    chat = load() if name == "small" else family(name, tmp_path / name)
    known = IncrementalRenderer()
    for seed, tools in ((0, None), (1, [TOOL]), (2, [TOOL])):
        for messages, at in turns(chat, seed, 25):
            assert known.extend(chat, messages, at, tools, "sampled") == extend(chat, messages, at, tools, "sampled"), (
                messages[-3:]
            )
    assert known.short > 10, "some of it was rendered the short way, though few turns are alike"


def test_a_template_that_looks_far_back_is_rendered_whole() -> None:
    source = (
        load()
        .template.sources["default"]
        .replace("+ text(message.content)", "+ (messages[0].content | length) ~ text(message.content)")
    )
    assert source != load().template.sources["default"]
    plain = load()
    chat = ChatModel(plain.folder, plain.tokenizer, ChatTemplate({"default": source}, plain.tokenizer.special))
    known = IncrementalRenderer()
    for messages, at in turns(chat, 0, 30):
        assert known.extend(chat, messages, at, None, "sampled") == extend(chat, messages, at, None, "sampled")
    assert known.short == 0


def test_a_template_that_changes_its_ways_late_is_found_out() -> None:
    """It counts messages from the 30th on: the short way is right before, and is checked again."""
    counted = "+ ((messages | length) if (messages | length) > 30 else '') ~ text(message.content)"
    source = load().template.sources["default"].replace("+ text(message.content)", counted)
    plain = load()
    chat = ChatModel(plain.folder, plain.tokenizer, ChatTemplate({"default": source}, plain.tokenizer.special))
    known = IncrementalRenderer()
    for messages, at in turns(chat, 0, 40, 0):
        known.extend(chat, messages, at, None, "sampled")
    before = known.short
    assert before > 0
    for messages, at in turns(chat, 0, 40, 0):
        known.extend(chat, messages, at, None, "sampled")
    assert known.short - before < before / 2, "shapes that went wrong are rendered whole"


def test_history_by_the_template_is_never_short() -> None:
    chat, known = load(), IncrementalRenderer()
    for messages, at in turns(chat, 0, 30):
        known.extend(chat, messages, at, None, "template") if not any(
            "reasoning_content" in m for m in messages
        ) else None
    assert known.short == 0


def test_a_message_that_holds_the_mark_is_rendered_whole(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "Yes.")
    session = opened(gateway, engine)
    messages: list[Message] = [{"role": "user", "content": "?"}]
    for text in ["a", "b", "c", "d", "e", "KATmark7f3aKAT", "f"]:
        messages += [say(session, messages), {"role": "user", "content": text}]
    say(session, messages)
    assert session.renderer.short and engine.seen[-1][0] == engine.chat.encode_prompt(messages)


# ------------------------------------------------------------------ reading


def test_what_was_read_is_the_same_object() -> None:
    memo = Memo()
    raw = msgspec.json.decode(b'[{"a":[1,2,3]},{"a":[1,2,3]},{"a":[1,2,4]}]', type=list[msgspec.Raw])
    one, same, other = (memo.read(each, dict) for each in raw)
    assert one is same and other == {"a": [1, 2, 4]} and memo.read(raw[0], list) == ["a"]


def test_what_is_remembered_is_bounded() -> None:
    memo, derived = Memo(), Derived(len)
    for number in range(2 * KEPT):
        memo.read(msgspec.json.decode(b'["%d"]' % number, type=msgspec.Raw), list)
        assert derived("x" * (number % 7)) == number % 7
    assert len(memo._known) == KEPT and len(derived._known) <= KEPT


@pytest.mark.parametrize(
    ("dialect", "name", "said", "call"),
    [
        (OpenAIChat(), "messages", {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}),
        (AnthropicMessages(), "messages", {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}),
        (OpenAIResponses(), "input", {"role": "user", "content": "a"},
         {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}),
    ],
)  # fmt: skip
def test_a_second_request_reads_only_what_is_new(dialect: Any, name: str, said: Message, call: Message) -> None:
    memo = Memo()
    text = {"role": "assistant", "content": "So."}
    first = dialect.parse(json.dumps({name: [said, text, call]}).encode(), memo)
    again = dialect.parse(json.dumps({name: [said, text, call, said]}).encode(), memo)
    alone = dialect.parse(json.dumps({name: [said, text, call, said]}).encode(), Memo())
    assert [id(m) for m in again.messages[: len(first.messages)]] == [id(m) for m in first.messages]
    assert again.messages == alone.messages


def test_items_that_were_joined_stay_as_they_were_read() -> None:
    memo = Memo()
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    text = {"type": "message", "role": "assistant", "content": "So."}
    joined = OpenAIResponses().parse(json.dumps({"input": [text, call]}).encode(), memo)
    assert len(joined.messages) == 1 and joined.messages[0]["tool_calls"][0]["id"] == "c"
    apart = OpenAIResponses().parse(json.dumps({"input": [text]}).encode(), memo)
    assert apart.messages == [{"role": "assistant", "content": "So."}]


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"{", b"", b"\xff", b'{"messages": {}}', b'{"messages": []}', b"{}"])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    for dialect in (OpenAIChat(), AnthropicMessages(), OpenAIResponses()):
        with pytest.raises(BadRequest):
            dialect.parse(body, Memo())
