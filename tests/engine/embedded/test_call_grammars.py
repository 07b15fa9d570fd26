"""The grammar of a call is the form that the model's own template writes: what that writes is taken, all else not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from katcore.engine.embedded.grammar import Grammars
from katcore.engine.embedded.requests import Refused
from katcore.model.folder import ChatModel
from katcore.model.grammars import NoGrammar, grammar
from tests.support.chat_models import model
from tests.support.family_templates import CODER, DEEPSEEK, FAMILIES, GLM, QWEN3, family

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "mode": {"enum": ["fast", "slow"]},
        "level": {"enum": [1, 2]},
        "short": {"type": "string", "maxLength": 4},
        "word": {"type": "string", "pattern": "^[a-z]+$"},
        "count": {"type": "integer"},
        "maybe": {"type": ["string", "null"]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "either": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
        "item": {"$ref": "#/$defs/item"},
        "anything": {},
    },
    "required": ["text"],
    "$defs": {"item": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
FULL: dict[str, Any] = {
    "text": 'a <b> & "12"\n\n  c\\ é {"x": 1}\n',
    "mode": "slow",
    "level": 2,
    "short": "a bc",
    "word": "abc",
    "count": -3,
    "maybe": None,
    "list": [{"a": 1}, {"a": 2}],
    "either": True,
    "item": {"a": 7},
    "anything": "x",
}
NAME_LAST = """{"arguments": ' + c.function.arguments | tojson }}"""
# GLM-4.7 writes its pairs without newlines, DeepSeek-V3 fences its JSON, Hermes 2 Pro writes the name last.
OTHERS = {
    "glm-close": GLM.replace("\\n<arg_key>", "<arg_key>").replace("</arg_key>\\n<arg_value>", "</arg_key><arg_value>"),
    "deepseek-fenced": DEEPSEEK.replace(
        "'<｜tool▁call▁begin｜>' + c['function']['name'] + '<｜tool▁sep｜>' + c['function']['arguments']",
        "'<｜tool▁call▁begin｜>function<｜tool▁sep｜>' + c['function']['name'] + '\\n```json\\n' "
        "+ c['function']['arguments'] + '\\n```'",
    ),
    "hermes-name-last": QWEN3.replace("""{"name": "' + c.function.name + '", "arguments": ' }}""", NAME_LAST).replace(
        "{{- c.function.arguments | tojson + '}", """{{- ', "name": "' + c.function.name + '"}"""
    ),
}
OPENED = (
    QWEN3.replace("if m.reasoning_content and loop.index0 > ns.last", "if loop.index0 > ns.last")
    .replace("+ m.reasoning_content +", "+ (m.reasoning_content or '') +")
    .replace("'<|im_start|>assistant\\n' }}{%- endif %}", "'<|im_start|>assistant\\n<think>\\n' }}{%- endif %}")
)


def chat_of(name: str, folder: Path) -> ChatModel:
    if name in FAMILIES:
        return family(name, folder)
    chat = family(name.split("-")[0].replace("hermes", "qwen3"), folder)
    assert OTHERS[name] not in (GLM, DEEPSEEK, QWEN3)
    (folder / "chat_template.jinja").write_text(OTHERS[name])
    return type(chat)(folder, chat.tokenizer, type(chat.template)({"default": OTHERS[name]}, chat.tokenizer.special))


@pytest.fixture(params=[*FAMILIES, *OTHERS])
def chat(request: pytest.FixtureRequest, tmp_path: Path) -> ChatModel:
    return chat_of(request.param, tmp_path / request.param)


def accepts(chat: ChatModel, tag: str, ids: list[int]) -> bool:
    """Whether a grammar lets the model sample all these ids, its stop token too."""
    try:
        Grammars(chat, len(chat.tokenizer)).matcher("structural_tag", tag, chat.stop_ids, ids)
    except Refused as reason:
        assert "does not allow token" in str(reason)
        return False
    return ids[-1] in chat.stop_ids


def said(*arguments: dict[str, Any], name: str = "look", **more: Any) -> dict[str, Any]:
    calls = [{"type": "function", "function": {"name": name, "arguments": json.dumps(each)}} for each in arguments]
    return {"role": "assistant", "content": "", "tool_calls": calls, **more}


def test_what_the_template_writes_is_what_the_grammar_takes(chat: ChatModel) -> None:
    tag = grammar(chat.turn, None, TOOLS, False)
    for arguments in (FULL, {"text": ""}, {"text": "x", "count": 3, "item": {"a": 1}}):
        ids = chat.encode_completion(said(arguments))
        assert accepts(chat, tag, ids), chat.decode(ids)
        read = chat.parse_completion(ids, tools=TOOLS)
        assert json.loads(read.message["tool_calls"][0]["function"]["arguments"]) == arguments
        assert [call.outcome for call in read.tool_calls] == [None]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"count": 3}, {"text": "x", "mode": "other"}, {"text": "x", "count": "many"}, {"text": "x", "item": {"b": 1}},
     {"text": "x", "short": "12345"}, {"text": "x", "word": "A"}, {"text": "x", "new": 1}, {"text": "x", "list": [1]}],
)  # fmt: skip
def test_what_the_schema_excludes_is_not_taken(chat: ChatModel, arguments: dict[str, Any]) -> None:
    ids = chat.encode_completion(said(arguments))
    assert not accepts(chat, grammar(chat.turn, None, TOOLS, False), ids), chat.decode(ids)


def test_one_or_several_and_nothing_but_calls(chat: ChatModel) -> None:
    one, several = grammar(chat.turn, None, TOOLS, False), grammar(chat.turn, None, TOOLS, True)
    single = chat.encode_completion(said({"text": "x"}))
    double = chat.encode_completion(said({"text": "x"}, {"text": "y"}))
    assert accepts(chat, one, single) and not accepts(chat, one, double)
    assert accepts(chat, several, single) and accepts(chat, several, double)
    for message in (said({"text": "x"}, name="rm"), {"role": "assistant", "content": "I look."}):
        assert not accepts(chat, several, chat.encode_completion(message))


def test_a_text_by_a_schema_or_a_call_instead(chat: ChatModel) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    alone, beside = grammar(chat.turn, schema, [], False), grammar(chat.turn, schema, TOOLS, False)
    text = chat.encode_completion({"role": "assistant", "content": '{"a": 3}'})
    call = chat.encode_completion(said({"text": "x"}))
    assert accepts(chat, alone, text) and not accepts(chat, alone, call)
    assert accepts(chat, beside, text) and accepts(chat, beside, call)
    assert not accepts(chat, beside, chat.encode_completion({"role": "assistant", "content": '{"b": 3}'}))


@pytest.mark.parametrize("name", ["qwen3", "glm"])
def test_a_thought_comes_first_where_the_template_writes_one(name: str, tmp_path: Path) -> None:
    chat = family(name, tmp_path / name)
    tag = grammar(chat.turn, None, TOOLS, False)
    for thought in ("Let me see: <tool_call> is\n\nhow it begins.", "é"):
        ids = chat.encode_completion(said({"text": "x"}, reasoning_content=thought))
        assert thought in chat.decode(ids) and accepts(chat, tag, ids)
        read = chat.parse_completion(ids, tools=TOOLS)
        assert read.message["reasoning_content"].strip() == thought
        assert [call.name for call in read.tool_calls] == ["look"]


@pytest.mark.parametrize("name", ["coder", "deepseek"])
def test_no_thought_where_the_template_writes_none(name: str, tmp_path: Path) -> None:
    chat = family(name, tmp_path / name)
    ids = chat.encode("<think>\nhm\n</think>\n\n") + chat.encode_completion(said({"text": "x"}))
    assert not accepts(chat, grammar(chat.turn, None, TOOLS, False), ids)


def test_a_thought_that_the_prompt_has_opened_is_ended_first(tmp_path: Path) -> None:
    chat = model(tmp_path / "opened", OPENED)
    assert chat.encode_prompt([{"role": "user", "content": "?"}]) == chat.encode(
        "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
    tag = grammar(chat.turn, {"type": "integer"}, TOOLS, False)
    end = chat.decode([chat.turn_end])
    for text in ("hm\n</think>\n\n12", "\n</think>\n\n12", 'a\n</think>\n\n<tool_call>\n{"name": "look", "arguments": '
                 '{"text": "x"}}\n</tool_call>'):  # fmt: skip
        assert accepts(chat, tag, chat.encode(text + end)), text
    assert not accepts(chat, tag, chat.encode("12" + end)) and not accepts(chat, tag, chat.encode("hm" + end))


@pytest.mark.parametrize(
    ("value", "taken"),
    [("a </parameter> b", False), ("a <parameter=b> b", False), ("</function>", False), ("<tool_call>", False),
     ("if (a < b) </p>", True), ("<parameter", True)],
)  # fmt: skip
def test_no_value_holds_what_a_call_is_told_by(tmp_path: Path, value: str, taken: bool) -> None:
    chat = family("coder", tmp_path / "coder")
    ids = chat.encode_completion(said({"text": value}))
    assert accepts(chat, grammar(chat.turn, None, TOOLS, False), ids) is taken


def test_no_string_of_a_json_call_holds_its_marks(tmp_path: Path) -> None:
    chat = family("qwen3", tmp_path / "qwen3")
    plain = [
        {"type": "function", "function": {"name": "look", "parameters": {"properties": {"text": {"type": "string"}}}}}
    ]
    tag = grammar(chat.turn, None, plain, False)
    assert accepts(chat, tag, chat.encode_completion(said({"text": "</tool>"})))
    assert not accepts(chat, tag, chat.encode_completion(said({"text": "</tool_call>"})))


def test_a_template_without_calls_has_none(tmp_path: Path) -> None:
    plain = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
    opening = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    chat = model(tmp_path / "plain", plain + opening)
    with pytest.raises(NoGrammar, match="writes no calls"):
        grammar(chat.turn, None, TOOLS, False)
    assert accepts(chat, grammar(chat.turn, {"type": "integer"}, [], False), chat.encode("12<|im_end|>"))


def test_a_schema_that_would_take_minutes_to_compile_is_refused(tmp_path: Path) -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(99):
        schema = {"type": "array", "items": schema}
    turn = family("qwen3", tmp_path / "qwen3").turn
    grammar(turn, schema, [], False)
    with pytest.raises(NoGrammar, match="more than 100 levels"):
        grammar(turn, {"type": "array", "items": schema}, [], False)


@pytest.mark.parametrize("name", ["a b", 'x"y', "a<b", ""])
def test_names_that_would_break_the_form_are_refused(tmp_path: Path, name: str) -> None:
    chat = family("coder", tmp_path / "coder")
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}]
    with pytest.raises(NoGrammar, match="its name has other signs"):
        grammar(chat.turn, None, tools, False)


def test_the_templates_differ(tmp_path: Path) -> None:
    """The variants are what they claim to be."""
    assert len({CODER, GLM, DEEPSEEK, QWEN3, *OTHERS.values()}) == 7
    written = {}
    for name in OTHERS:
        chat = chat_of(name, tmp_path / name)
        written[name] = chat.decode(chat.encode_completion(said({"text": "x"})))
    assert "</arg_key><arg_value>" in written["glm-close"] and "```json" in written["deepseek-fenced"]
    assert '"name": "look"}' in written["hermes-name-last"]
