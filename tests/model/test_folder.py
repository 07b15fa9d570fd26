"""Messages to ids and back: the shipped small model folder, and folders that other people made."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from katcore.errors import InputError
from katcore.model.folder import ChatModel, load
from katcore.model.template import NotAnExtension, TemplateError
from katcore.model.tokenizer import SMALL, train_tokenizer

TOOLS = [{"type": "function", "function": {"name": "bash", "description": "Run <it>", "parameters": {}}}]
FOREIGN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"


def said(content: str | None, *calls: tuple[str, str], reasoning: str = "") -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        functions = [{"name": name, "arguments": arguments} for name, arguments in calls]
        message["tool_calls"] = [{"id": str(i), "type": "function", "function": f} for i, f in enumerate(functions)]
    return message


CONVERSATION = [
    {"role": "system", "content": "You fix bugs."},
    {"role": "user", "content": [{"type": "text", "text": "The test "}, {"type": "text", "text": "fails."}]},
    said("\n\n  first", ("bash", '{"command": "ls"}'), ("bash", '{"b": 1.0, "a": "é\\n"}'), reasoning="why\nnot"),
    {"role": "tool", "tool_call_id": "0", "content": "a.py\n"},
    {"role": "tool", "tool_call_id": "1", "content": ""},
    said(None, ("bash", "{}")),
    {"role": "tool", "tool_call_id": "0", "content": "<tool_call>"},
    said("  \n"),
    {"role": "user", "content": "more"},
    said("done\n"),
]


@pytest.fixture(scope="module")
def chat() -> ChatModel:
    return load()


@pytest.mark.parametrize("tools", [None, TOOLS])
def test_every_prefix_of_a_conversation_is_a_token_prefix_of_the_whole(chat: ChatModel, tools: Any) -> None:
    whole = chat.encode(chat.render(CONVERSATION, tools))
    for end, message in enumerate(CONVERSATION):
        before = CONVERSATION[:end]
        if message["role"] == "assistant":
            ids = chat.encode_prompt(before, tools) + chat.encode_completion(message, before)
            assert whole[: len(ids)] == ids
        else:
            ids = chat.encode(chat.render([*before, message], tools))
            assert whole[: len(ids)] == ids


def test_deltas_add_up_to_the_whole_prompt(chat: ChatModel) -> None:
    turns = [2, 5, 7, 9]
    ids = chat.encode_prompt(CONVERSATION[:2], TOOLS)
    for turn, following in pairwise(turns):
        ids += chat.encode_completion(CONVERSATION[turn])
        ids += chat.render_delta(CONVERSATION[: turn + 1], CONVERSATION[turn + 1 : following], TOOLS)
        assert ids == chat.encode_prompt(CONVERSATION[:following], TOOLS)


def test_delta_after_a_completion_that_was_cut_off_closes_the_turn_first(chat: ChatModel) -> None:
    before, new = CONVERSATION[:8], CONVERSATION[8:9]
    whole = chat.render_delta(before, new)
    assert chat.render_delta(before, new, closed=False) == [chat.turn_end, *whole]


def test_a_scripted_message_comes_back_from_its_own_tokens(chat: ChatModel) -> None:
    for message in CONVERSATION:
        if message["role"] != "assistant":
            continue
        ids = chat.encode_completion(message)
        completion = chat.parse_completion(ids)
        assert completion.stopped and ids[-1] == chat.turn_end
        assert completion.message["content"] == message["content"]
        assert completion.message.get("reasoning_content", "") == message.get("reasoning_content", "")
        wanted = [call["function"] for call in message.get("tool_calls", [])]
        assert [call["function"] for call in completion.message.get("tool_calls", [])] == wanted
        for call in completion.tool_calls:
            assert call.span is not None
            text = chat.decode(ids[slice(*call.span)])
            assert text.startswith("<tool_call>") and text.endswith("</tool_call>")


def test_call_ids_differ_between_calls_and_between_seeds(chat: ChatModel) -> None:
    ids = chat.encode_completion(said("", ("f", "{}"), ("f", "{}")))
    seen = {call.id for seed in ("a", "b") for call in chat.parse_completion(ids, seed).tool_calls}
    assert len(seen) == 4
    assert chat.parse_completion(ids, "a") == chat.parse_completion(ids, "a")


def test_spans_where_the_call_marker_was_sampled_letter_by_letter(chat: ChatModel) -> None:
    ids = [chat.encode(letter)[0] for letter in 'x<tool_call>{"name": "f"}</tool_call>y']
    (call,) = chat.parse_completion(ids).tool_calls
    assert call.span == (1, len(ids) - 1)


def test_arbitrary_ids_never_raise(chat: ChatModel) -> None:
    assert chat.parse_completion([]).message["content"] == ""
    for start in range(0, len(chat.tokenizer), 97):
        ids = [3, *((start * 31 + 7 * k * k) % len(chat.tokenizer) for k in range(60)), 4]
        (call, *_) = chat.parse_completion(ids).tool_calls
        assert call.span is not None and call.span[0] == 0


def test_vocabulary_sends_every_text_there_and_back(chat: ChatModel) -> None:
    assert len(chat.tokenizer) == 4096
    text = "".join(map(chr, range(1, 0x2000))) + "\u4f60\U0001f600\r\n\t  x"
    assert chat.decode(chat.encode(text)) == text


def test_transformers_reads_the_shipped_folder_and_agrees(tmp_path: Path, chat: ChatModel) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(SMALL))
    assert (len(theirs), theirs.eos_token_id) == (len(chat.tokenizer), chat.turn_end)
    plain = [{**m, "content": m["content"] if isinstance(m["content"], str) else "The test fails."}
             if m["content"] is not None else m for m in CONVERSATION]  # fmt: skip
    ids = theirs.apply_chat_template(plain, tools=TOOLS, add_generation_prompt=True)["input_ids"]
    assert ids == chat.encode_prompt(CONVERSATION, TOOLS)
    marked = chat.encode_completion(CONVERSATION[2])
    assert "<tool_call>" in theirs.decode(marked, skip_special_tokens=True)
    theirs.save_pretrained(str(tmp_path))
    assert load(tmp_path).digest == chat.digest


def test_digest_tells_templates_and_vocabularies_apart(tmp_path: Path, chat: ChatModel) -> None:
    chat.save(tmp_path)
    assert load(tmp_path).digest == chat.digest
    with (tmp_path / "chat_template.jinja").open("a") as file:
        file.write(" ")
    assert load(tmp_path).digest != chat.digest
    train_tokenizer(["abc abc abd"] * 3, 300, tmp_path / "other")
    assert load(tmp_path / "other").digest != chat.digest


def test_training_is_deterministic_and_knows_the_markers(tmp_path: Path) -> None:
    texts = ["def f(self):\n    return 1\n" * 20, "class A: pass\n" * 30]
    for name in "ab":
        train_tokenizer(iter(texts), 320, tmp_path / name)
    assert (tmp_path / "a/tokenizer.json").read_bytes() == (tmp_path / "b/tokenizer.json").read_bytes()
    chat = load(tmp_path / "a")
    assert len(chat.encode("<tool_call></tool_call><|im_end|>")) == 3 and len(chat.tokenizer) <= 320
    with pytest.raises(InputError, match="at least 265"):
        train_tokenizer(texts, 100, tmp_path / "c")


def foreign(folder: Path, config: dict[str, Any]) -> Path:
    """A folder whose template stands in tokenizer_config.json, as older ones have it."""
    load().save(folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_template_in_the_tokenizer_config_with_added_tokens(tmp_path: Path) -> None:
    added = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
    config = {
        "chat_template": [{"name": "default", "template": FOREIGN}, {"name": "tool_use", "template": "T" + FOREIGN}],
        "eos_token": {"content": "<eot>", **added},
        "added_tokens_decoder": {"4096": {"content": "<eot>", **added}},
    }
    chat = load(foreign(tmp_path, config))
    assert chat.render([{"role": "user", "content": "x"}]) == "[user]x<eot>"
    assert chat.render([{"role": "user", "content": "x"}], TOOLS) == "T[user]x<eot>"
    assert chat.turn_end == 4096 and 4096 in chat.stop_ids
    assert chat.decode(chat.encode_completion(said("x"))) == "[assistant]x<eot>"


def test_stop_ids_come_from_the_generation_config_too(tmp_path: Path, chat: ChatModel) -> None:
    chat.save(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [0, 7]}')
    assert set(load(tmp_path).stop_ids) == {0, 2, 7}


def test_template_sees_argument_objects_unless_it_asks_for_text(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.role }}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}"
    chat = load(foreign(tmp_path, {"chat_template": template + "{% endfor %}<|im_end|>{% endfor %}"}))
    assert chat.render([said("", ("f", '{"b":"<"}'))]) == 'assistant{"b": "<"}<|im_end|>'


def test_a_template_that_rewrites_its_past_is_a_typed_error(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.content if loop.last else '-' }}<|im_end|>{% endfor %}"
    chat = load(foreign(tmp_path, {"chat_template": template}))
    with pytest.raises(NotAnExtension, match="rewrites"):
        chat.render_delta([{"role": "user", "content": "x"}], [{"role": "user", "content": "y"}])


def test_no_template_a_broken_one_and_a_hostile_one(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no chat template"):
        load(foreign(tmp_path / "none", {})).render([])
    with pytest.raises(TemplateError, match="does not compile"):
        load(foreign(tmp_path / "bad", {"chat_template": "{% if %}"})).render([])
    hostile = "{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}"
    with pytest.raises(TemplateError, match="unsafe"):
        load(foreign(tmp_path / "evil", {"chat_template": hostile})).render([])
    with pytest.raises(TemplateError, match="no such role"):
        load().render([{"role": "robot", "content": ""}])


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer"):
        load(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        load(tmp_path)


GOLDEN = """<|im_start|>system
# Tools

<tools>
{"type": "function", "function": {"name": "bash", "description": "Run <it>", "parameters": {}}}
</tools>

To use a tool, write:
<tool_call>
{"name": NAME, "arguments": {...}}
</tool_call><|im_end|>
<|im_start|>user
List.<|im_end|>
<|im_start|>assistant
<think>
Hm.
</think>

<tool_call>
{"name": "bash", "arguments": {"command": "ls"}}
</tool_call>
<tool_call>
{"name": "bash", "arguments": {"é": "<"}}
</tool_call><|im_end|>
<|im_start|>user
<tool_response>
a.py
</tool_response><|im_end|>
<|im_start|>user
<tool_response>
b.py
</tool_response><|im_end|>
<|im_start|>assistant
"""


def test_the_shipped_template_to_the_letter(chat: ChatModel) -> None:
    calls = said(None, ("bash", '{"command": "ls"}'), ("bash", "{}"), reasoning="Hm.")
    calls["tool_calls"][1]["function"]["arguments"] = {"é": "<"}  # an object, as other dialects have it
    results = [{"role": "tool", "content": name} for name in ("a.py", "b.py")]
    assert chat.render([{"role": "user", "content": "List."}, calls, *results], TOOLS, True) == GOLDEN


def test_a_completion_given_as_text(chat: ChatModel) -> None:
    ids = chat.encode_completion(CONVERSATION[2])
    assert chat.parse_completion(chat.decode(ids)).message == chat.parse_completion(ids).message
    assert chat.parse_completion("cut off").stopped is False
    assert chat.parse_completion("said<|im_end|>") == chat.parse_completion([*chat.encode("said"), chat.turn_end])
