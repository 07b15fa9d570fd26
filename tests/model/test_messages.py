"""What templates get of messages and tools; what they would drop or garble is refused and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from katcore.model.folder import load
from katcore.model.messages import Malformed, plain, tools_of
from katcore.model.template import TemplateError
from tests.support.chat_models import model

TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
TOOLS_TEXT = '[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]'


@pytest.mark.parametrize(
    "content, text",
    [
        (None, ""),
        ("a", "a"),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"text": "b"}, {"type": "input_text", "text": "c", "image_url": None}], "abc"),
        ([{"type": "refusal", "refusal": "no"}, {"type": "output_text", "text": "!"}], "no!"),
    ],
)
def test_content_is_one_text(content: Any, text: str) -> None:
    assert plain([{"role": "developer", "content": content}], False) == [{"role": "system", "content": text}]


@pytest.mark.parametrize(
    "message, why",
    [
        ({"role": "user", "content": ["a", "b"]}, "a part of its content is no object: 'a'"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "a part of type 'image_url'"),
        ({"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}, "a part of type 'thinking'"),
        ({"role": "user", "content": [{"type": ["text"], "text": "x"}]}, "a part of type ['text']"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "has no text"),
        ({"role": "user", "content": {"a": 1}}, "neither text nor a list of parts"),
        ({"role": "user", "content": 5}, "neither text nor a list of parts: 5"),
        ({"content": "a"}, "its role None is no text"),
        ({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ({"role": "assistant", "tool_calls": "[]"}, "its tool_calls are no list"),
        ({"role": "assistant", "tool_calls": ["f"]}, "no object with a function and its name: 'f'"),
        ({"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}, "a function and its name"),
        ({"role": "assistant", "tool_calls": [{"function": "f"}]}, "a function and its name"),
    ],
)
def test_what_would_be_dropped_or_garbled_is_refused(message: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed) as error:
        plain([{"role": "user", "content": "q"}, message], False)
    assert str(error.value).startswith("message 1: ") and why in str(error.value)
    with pytest.raises(TemplateError, match="message 0: "):
        load().render([message])


def test_arguments_are_objects_unless_they_are_no_json() -> None:
    written = ['{"a": 1, "b": "ü"}', "{not json", '"\\ud83d"', "", '{"a": NaN}']
    calls = [{"id": "0", "type": "function", "function": {"name": "f", "arguments": text}} for text in written]
    message = {"role": "assistant", "content": None, "tool_calls": [*calls, {"name": "g", "arguments": "{}"}]}
    (made,) = plain([message], False)
    got = [call["function"]["arguments"] for call in made["tool_calls"]]
    assert got == [{"a": 1, "b": "ü"}, "{not json", '"\\ud83d"', {}, '{"a": NaN}', {}]
    assert made["tool_calls"][-1]["function"] == {"name": "g", "arguments": {}}
    (raw,) = plain([message], True)
    assert [call["function"]["arguments"] for call in raw["tool_calls"]] == [*written, "{}"]


def test_tools_are_a_list_or_the_json_text_of_one() -> None:
    assert tools_of([TOOL]) == tools_of(TOOLS_TEXT) == [TOOL]
    assert tools_of(None) == tools_of([]) == tools_of("") == tools_of("null") == []
    for bad, why in (
        ("[1]", "no list of objects"),
        ("{", "no JSON"),
        ({"a": 1}, "no list"),
        (["f"], "no list"),
        (7, "no"),
    ):
        with pytest.raises(Malformed, match=f"its tools are .*{why}"):
            tools_of(bad)
    messages = [{"role": "user", "content": "hi"}]
    assert load().render(messages, TOOLS_TEXT) == load().render(messages, [TOOL])  # type: ignore[arg-type]


def test_whatever_a_template_stumbles_over_is_one_clear_line(tmp_path: Path) -> None:
    chat = model(tmp_path / "M", "{{ messages[0].content.strip() }}{{ messages[0].extra.index('x') }}{{ 1 // 0 }}")
    for extra in ("abc", 3, "x"):
        with pytest.raises(TemplateError, match="the chat template refuses these messages"):
            chat.render([{"role": "user", "content": "q", "extra": extra}])
    (tmp_path / "M" / "chat_template.jinja").write_bytes(b"caf\xe9")
    with pytest.raises(TemplateError, match=r"chat_template\.jinja: not UTF-8"):
        load(tmp_path / "M")
