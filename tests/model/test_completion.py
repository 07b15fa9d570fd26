"""Tool calls in what a model wrote, well-formed and not."""

from __future__ import annotations

import json

import pytest

from katcore.model.calls import DEEPSEEK, HERMES, CallForm
from katcore.model.completion import parse_text, settled


def call(text: str) -> tuple[str, str, bool]:
    message, calls = parse_text(text)
    (found,) = calls
    assert message["tool_calls"][0]["function"] == {"name": found.name, "arguments": found.arguments}
    return found.name, found.arguments, found.valid


@pytest.mark.parametrize(
    ("body", "name", "arguments"),
    [
        ('{"name": "f", "arguments": {"a": 1.0, "b": [1,2]}}', "f", '{"a": 1.0, "b": [1,2]}'),
        ('{"arguments": {"x": "</tool>"}, "name": "f"}', "f", '{"x": "</tool>"}'),
        ('{"name": "f", "parameters": {"x": 1}}', "f", '{"x": 1}'),
        ('  {"name" : "f"}\n', "f", "{}"),
        ('{"name": "f", "arguments": {}}', "f", "{}"),
    ],
)
def test_a_well_formed_call_keeps_its_arguments_as_written(body: str, name: str, arguments: str) -> None:
    assert call(f"<tool_call>\n{body}\n</tool_call>") == (name, arguments, True)


@pytest.mark.parametrize(
    ("body", "name", "arguments"),
    [
        ('{"name": "f", "arguments": {"a": "x', "f", '{"a": "x'),
        ('{"name": "f", "arguments": {"a": 1,}}', "f", '{"a": 1,}'),
        ('{"name": "f", "arguments": "text"}', "f", '"text"'),
        ('{"name": 3, "arguments": {}}', "", '{"name": 3, "arguments": {}}'),
        ("ls -l", "", "ls -l"),
        ("[1]", "", "[1]"),
        ("", "", ""),
        ('{"a": ' * 5000, "", '{"a": ' * 4999 + '{"a":'),
    ],
)
def test_a_malformed_call_is_kept_with_its_raw_text(body: str, name: str, arguments: str) -> None:
    assert call(f"<tool_call>{body}</tool_call>") == (name, arguments, False)


def test_calls_that_nobody_closed() -> None:
    assert call('x<tool_call>{"name": "f", "arguments": {}}') == ("f", "{}", True)
    assert call('x<tool_call>{"name": "f", "argum')[2] is False
    _, calls = parse_text('<tool_call>{"name": "f"}<tool_call>{"name": "g"}</tool_call>')
    assert [found.name for found in calls] == ["f", "g"]
    assert (calls[0].end, calls[1].start) == (24, 24)


def test_content_stands_outside_the_calls() -> None:
    body = json.dumps({"name": "f", "arguments": {}})
    message, _ = parse_text(f"a\n\n<tool_call>{body}</tool_call>\n<tool_call>{body}</tool_call> b")
    assert message["content"] == "a\n b" and len(message["tool_calls"]) == 2
    assert parse_text(f"<tool_call>{body}</tool_call>")[0]["content"] is None
    assert parse_text("  a\n")[0] == {"role": "assistant", "content": "  a\n"}


@pytest.mark.parametrize(
    ("text", "think", "reasoning", "content"),
    [
        ("<think>\nwhy\n</think>\n\nbecause", False, "why", "because"),
        ("<think>why</think>because", False, "why", "because"),
        ("<think>\n\n</think>\n\nyes", False, "", "yes"),
        ("<think>\ncut off", False, "cut off", ""),
        ("why\n</think>\n\nbecause", True, "why", "\n\nbecause"),
        ("why <think> not", False, "", "why <think> not"),
    ],
)
def test_reasoning(text: str, think: bool, reasoning: str, content: str) -> None:
    message, _ = parse_text(text, think=think)
    assert (message.get("reasoning_content", ""), message["content"]) == (reasoning, content)


def test_calls_inside_reasoning_are_no_calls() -> None:
    message, calls = parse_text("<think>\n<tool_call>{}</tool_call>\n</think>\n\nno")
    assert not calls and "tool_calls" not in message


@pytest.mark.parametrize("form", [HERMES, DEEPSEEK])
def test_a_sign_of_which_half_a_character_is_there_is_held_back(form: CallForm) -> None:
    """A model may spell a marker byte by byte."""
    marker = form.openings[0]
    for size in range(1, len(marker.encode())):
        text = ("I look." + marker).encode()[: len(b"I look.") + size].decode("utf-8", "replace")
        assert settled(text, False, form) == ("", "I look."), text
