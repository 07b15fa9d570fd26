"""Text to packs: what each target stands behind, and what of it is trained, against the text itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from katcore.errors import InputError, RecordError
from katcore.model.folder import ChatModel, load
from katcore.model.tokenizer import SMALL
from katcore.pack_trie.stream import items
from katcore.pool import Item
from katcore.records import Call, Node, Pack, Sample, ToolCall, Trajectory
from tests.support.chat_models import BARE, FORGETFUL, OPEN_ENDED, ROLES, THINKING, model
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node

TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {}}}]


def user(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def said(content: str, *calls: str, **fields: Any) -> dict[str, Any]:
    functions = [{"name": name, "arguments": "{}"} for name in calls]
    if calls:
        fields["tool_calls"] = [{"id": str(i), "type": "function", "function": f} for i, f in enumerate(functions)]
    return {"role": "assistant", "content": content, **fields}


def result(content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "0", "name": "bash", "content": content}


def chat_of(tmp_path: Path, template: str | None, **options: Any) -> ChatModel:
    return model(tmp_path / "M", template, **options)


def open_ended(tmp_path: Path) -> ChatModel:
    return chat_of(tmp_path, OPEN_ENDED, added=ROLES, eos="<|endoftext|>", stops=("<|user|>", "<|observation|>"))


def stream(chat: ChatModel | None, *records: Any, objective: str = "sft", **options: Any) -> list[Item]:
    return list(items(lines(*records), pack_options(objective=objective, groups_per_step=0, **options), chat=chat))


def packed(chat: ChatModel | None, *records: Any, objective: str = "sft", **options: Any) -> Pack:
    (item,) = stream(chat, *records, objective=objective, **options)
    assert isinstance(item.payload, Pack), item.payload
    return item.payload


def path(pack: Pack, token: int) -> list[int]:
    """Indices from the root to this token."""
    found = []
    while token >= 0:
        found.append(token)
        token = pack.parent[token]
    return found[::-1]


def trained(pack: Pack, chat: ChatModel) -> list[tuple[str, str]]:
    """For each turn the text before it and the text that is trained, read off the pack."""
    turns: dict[tuple[int, int], list[int]] = {}
    for sample, turn, token in zip(pack.term_sample, pack.term_turn, pack.term_token):
        turns.setdefault((sample, turn), []).append(token)
    found = []
    for tokens in turns.values():
        whole = path(pack, tokens[-1])
        assert whole[-len(tokens) :] == tokens, "the turn is one run at the end of its path"
        before, after = ([pack.tokens[i] for i in part] for part in (whole[: -len(tokens)], tokens))
        found.append((chat.decode(before), chat.decode(after)))
    return found


def prompts(pack: Pack) -> list[list[int]]:
    """The ids that each turn stands behind."""
    first: dict[tuple[int, int], int] = {}
    for sample, turn, token in zip(pack.term_sample, pack.term_turn, pack.term_token):
        first.setdefault((sample, turn), token)
    return [[pack.tokens[i] for i in path(pack, token)[:-1]] for token in first.values()]


def check_prompts(pack: Pack, chat: ChatModel, messages: list[dict[str, Any]], tools: Any = None) -> None:
    """Every target stands behind the ids of its prompt's text, whole and by itself."""
    wanted = [
        chat.tokenizer.backend.encode(chat.render(messages[:k], tools, True), add_special_tokens=False).ids
        for k, message in enumerate(messages)
        if message["role"] == "assistant"
    ]
    assert prompts(pack) == wanted


# ------------------------------------------------------------------------------------------ conversations


def test_the_small_template_makes_one_path(tmp_path: Path) -> None:
    chat = load()
    messages = [
        user("Add 2 and 2.", tools=TOOLS), said("I look.", "bash", reasoning_content="hm"), result("4\n"),
        said("\n\n4 "), user("Sure?"), said(""),
    ]  # fmt: skip
    pack = packed(None, Sample(id="s", messages=messages))
    found = trained(pack, chat)
    assert [text for _, text in found] == [
        '<think>\nhm\n</think>\n\nI look.\n<tool_call>\n{"name": "bash", "arguments": {}}\n</tool_call><|im_end|>',
        "\n\n4 <|im_end|>",
        "<|im_end|>",
    ]
    assert "# Tools" in found[0][0] and '"name": "bash", "parameters"' in found[0][0]
    assert found[2][0] == chat.render(messages[:5], TOOLS, True)
    check_prompts(pack, chat, messages, TOOLS)
    assert pack.stats.flat == pack.stats.unique, "a template that only appends has one path"
    assert pack.tokens[pack.term_token[-1]] == chat.turn_end and pack.tokenizer == chat.digest
    assert pack.engine_logprob is None and set(pack.ce_weight) == {1.0}
    assert pack.step_counts.turns == 3


def test_dropped_thinking_branches(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, FORGETFUL)
    messages = [
        user("one"), said("A", "bash", reasoning_content="first"), result("r"), said("B", reasoning_content="second"),
        user("two"), said("C", reasoning_content="third"),
    ]  # fmt: skip
    pack = packed(chat, Sample(id="s", messages=messages))
    found = trained(pack, chat)
    assert [text.partition("\n</think>")[0] for _, text in found] == [
        f"<think>\n{t}" for t in ("first", "second", "third")
    ]
    assert all(text.endswith("<|im_end|>") for _, text in found)
    assert "first" in found[1][0], "tool turns after the user's message keep their thinking"
    assert "think" not in found[2][0] and "A<tool_call>" in found[2][0] and "B<|im_end|>" in found[2][0]
    check_prompts(pack, chat, messages)
    shared = chat.encode("<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n")
    assert pack.tokens[: len(shared)] == shared
    assert pack.stats.unique == pack.stats.flat - len(shared), "what both paths begin with is there once"
    assert pack.step_counts.samples == 1 and pack.step_counts.turns == 3


def test_a_stop_token_that_belongs_to_the_next_message_is_trained(tmp_path: Path) -> None:
    chat = open_ended(tmp_path)
    messages = [user("one", tools=TOOLS), said("A", "bash"), result("r"), said("B"), user("two"), said("C")]
    pack = packed(chat, Sample(id="s", messages=messages))
    assert trained(pack, chat) == [
        (chat.render(messages[:1], TOOLS, True), "\nA\nbash<|observation|>"),
        (chat.render(messages[:3], TOOLS, True), "\nB<|user|>"),
        (chat.render(messages[:5], TOOLS, True), "\nC<|user|>"),
    ]
    check_prompts(pack, chat, messages, TOOLS)
    assert pack.stats.flat == pack.stats.unique, "the stop token is the one that the next message begins with"
    last = packed(chat, Sample(id="s", messages=[user("one"), said("A", "bash")]))
    assert trained(last, chat)[0][1] == "\nA\nbash<|observation|>", "calls wait for an observation at the end too"


def test_a_template_without_any_stop_token_gets_the_end_of_sequence(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, BARE, eos="<|endoftext|>")
    messages = [user("q"), said("a"), user("r"), said("b")]
    pack = packed(chat, Sample(id="s", messages=messages))
    assert trained(pack, chat) == [
        ("Question: q\nAnswer: ", "a\n<|endoftext|>"),
        ("Question: q\nAnswer: a\nQuestion: r\nAnswer: ", "b\n<|endoftext|>"),
    ]
    check_prompts(pack, chat, messages)


def test_an_answer_never_merges_into_its_prompt(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, BARE, eos="<|endoftext|>")
    messages = [user("q"), said("the"), user("r"), said("the")]
    prompt, whole = (chat.encode(text) for text in ("Question: q\nAnswer: ", "Question: q\nAnswer: the"))
    assert whole[: len(prompt)] != prompt, "this tokenizer has a token for the white space with the word"
    pack = packed(chat, Sample(id="s", messages=messages))
    assert [text for _, text in trained(pack, chat)] == ["the\n<|endoftext|>"] * 2
    check_prompts(pack, chat, messages)
    answer = [pack.tokens[i] for i in pack.term_token if i < len(path(pack, pack.term_token[-1]))]
    assert answer[: len(chat.encode("the"))] == chat.encode("the")
    again = prompts(pack)[1]
    assert again[: len(whole)] == whole, "the next prompt is one text: there the engine gets the merged token"
    assert pack.tokens[len(prompt)] != again[len(prompt)] or again[len(prompt) - 1] != prompt[-1]


def test_a_message_that_does_not_go_on_from_the_opening_of_its_turn(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, THINKING)
    silent = Sample(id="a", messages=[user("q"), said("no thought")])
    fine = Sample(id="b", messages=[user("q"), said("A", reasoning_content="t")])
    first, second = stream(chat, silent, fine)
    assert str(first.payload) == "render: message 1 does not go on from the opening of its turn"
    assert isinstance(first.payload, RecordError)
    assert trained(second.payload, chat)[0][1] == "t\n</think>A<|im_end|>"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (Sample(id="s"), "either messages or text"),
        (Sample(id="s", messages=[said("x")], text="x"), "either messages or text"),
        (Sample(id="s", messages=[said("x")], loss_spans=[(0, 1)]), "characters of `text`"),
        (Sample(id="s", text="abc", loss_spans=[(1, 4)]), "loss span [1, 4) is not inside the 3 characters"),
        (Sample(id="s", text="abc", loss_spans=[(2, 1)]), "loss span [2, 1)"),
        (Sample(id="s", text="abc", loss_spans=[(-1, 1)]), "loss span [-1, 1)"),
        (Sample(id="s", text="abc", weight=-1), "weight -1 is not between 0 and"),
        (Sample(id="s", messages=[{"role": "nobody", "content": ""}, said("x")]), "no such role: nobody"),
    ],
)
def test_samples_that_contradict_themselves_are_dead_letters(sample: Sample, reason: str) -> None:
    (item,) = stream(None, sample)
    assert isinstance(item.payload, RecordError) and reason in str(item.payload)
    assert item.key == "kat.sample/1:s" and item.line == 1


def test_nothing_to_train_is_turned_away() -> None:
    for sample in (Sample(id="s", messages=[user("q")]), Sample(id="s", text=""), Sample(id="s", text="a")):
        (item,) = stream(None, sample)
        assert str(item.payload) == "tokens: nothing in its group was sampled"


def test_weights_multiply_and_a_message_can_be_left_out() -> None:
    messages = [user("q"), said("a", weight=0), user("r"), said("b", weight=1)]
    pack = packed(None, Sample(id="s", messages=messages, weight=0.25), Sample(id="t", text="some text", weight=2.0))
    texts = trained(pack, load())
    assert texts[0][1] == "b<|im_end|>" and len(texts) == 2
    by_sample = {s: {w for t, w in zip(pack.term_sample, pack.ce_weight) if t == s} for s in (0, 1)}
    assert by_sample == {0: {0.25}, 1: {2.0}}
    assert pack.step_counts.trained_tokens == len(pack.term_token), "denominators count tokens, not weights"


def test_a_folder_without_a_template_or_a_stop_token_is_refused(tmp_path: Path) -> None:
    bare = model(tmp_path / "a", None)
    with pytest.raises(InputError, match="no chat template"):
        stream(bare, Sample(id="s", messages=[user("q"), said("a")]))
    assert packed(bare, Sample(id="s", text="plain text")).term_token, "plain text needs none"
    folder = tmp_path / "b"
    model(folder, BARE, eos=None)
    source = (SMALL / "tokenizer.json").read_text().replace("<|im_end|>", "<|im_fin|>")
    (folder / "tokenizer.json").write_text(source)
    with pytest.raises(InputError, match="no token that ends a turn"):
        stream(load(folder), Sample(id="s", messages=[user("q"), said("a")]))


def test_text_has_the_tokenizer_of_the_folder_that_renders_it(tmp_path: Path) -> None:
    text, exact = Sample(id="s", text="two words"), attempt([node(0, None, [1]), node(1, 0, [2], True)], size=1)
    with pytest.raises(InputError, match="line 2: tokenizer abc is not") as error:
        stream(None, text, exact)
    assert "--model" in error.value.hint
    with pytest.raises(InputError, match="line 2: tokenizer"):
        stream(None, exact, text)
    exact.tokenizer = load().digest
    assert packed(None, exact, text).tokenizer == load().digest


# --------------------------------------------------------------------------------- trajectories of teachers


def teacher(nodes: list[tuple[int | None, dict[str, Any]]], **fields: Any) -> Trajectory:
    extra = fields.pop("extra", {})
    made = [
        Node(id=i, parent=parent, role=message["role"], message=message, **extra.get(i, {}))
        for i, (parent, message) in enumerate(nodes)
    ]
    return attempt(made, size=1, tokenizer="", **fields)


BRANCHING: list[tuple[int | None, dict[str, Any]]] = [
    (None, {"role": "system", "content": "S", "tools": TOOLS}),
    (0, user("q")),
    (1, said("a", "bash", "bash")),
    (2, result("r")),
    (3, said("b")),
    (0, user("summary")),
    (5, said("c")),
    (3, said("other b")),
]


def test_a_tree_of_text_is_a_tree_of_tokens() -> None:
    chat = load()
    pack = packed(None, teacher(BRANCHING))
    found = {after: before for before, after in trained(pack, chat)}
    parents, messages = [p for p, _ in BRANCHING], [m for _, m in BRANCHING]
    for i, wanted in ((4, "b<|im_end|>"), (6, "c<|im_end|>"), (7, "other b<|im_end|>")):
        above, at = [], parents[i]
        while at is not None:
            above, at = [messages[at], *above], parents[at]
        assert found[wanted] == chat.render(above, TOOLS, True)
    assert len(found) == 4 and pack.step_counts.turns == 4
    roots = [i for i, parent in enumerate(pack.parent) if parent < 0]
    assert len(roots) == 1, "all three branches share the system prompt"


def test_only_what_a_call_ended_in_is_the_teachers() -> None:
    chat = load()
    calls = [Call(id=0, node=4, started_at="2026-01-01T00:00:00Z"), Call(id=1, started_at="2026-01-01T00:00:00Z")]
    pack = packed(None, teacher(BRANCHING, calls=calls))
    assert [after for _, after in trained(pack, chat)] == ["b<|im_end|>"]


def test_boundaries_of_text_cut_it_for_tst() -> None:
    pack = packed(None, teacher(BRANCHING, extra={5: {"boundary": "compaction"}}), objective="tst")
    chat = load()
    texts = [[], []]  # type: list[list[str]]
    for sample in (0, 1):
        terms = [i for i, s in enumerate(pack.term_sample) if s == sample]
        texts[sample] = chat.decode([pack.tokens[pack.term_token[i]] for i in terms]).split("<|im_end|>")
    assert [t[-1] for t in texts] == ["", ""] and texts[1] == ["c", ""] and len(texts[0]) == 4


def test_failed_calls_of_text_are_masked_alone() -> None:
    chat = load()
    outcomes = [ToolCall(id="0", name="bash", outcome="ok"), ToolCall(id="1", name="bash", outcome="denied")]
    one = packed(None, teacher(BRANCHING, extra={2: {"tool_calls": outcomes}}), objective="em-sft")
    masked = [one.tokens[t] for t, w in zip(one.term_token, one.ce_weight) if w == 0]
    assert chat.decode(masked) == '<tool_call>\n{"name": "bash", "arguments": {}}\n</tool_call>'
    outcomes[1].name = "python"  # not what the message says: nobody knows where it is
    other = packed(None, teacher(BRANCHING, extra={2: {"tool_calls": outcomes}}), objective="em-sft")
    masked = [other.tokens[t] for t, w in zip(other.term_token, other.ce_weight) if w == 0]
    assert chat.decode(masked).startswith("a\n<tool_call>") and chat.decode(masked).endswith("<|im_end|>")


def test_text_that_is_half_there_is_a_dead_letter() -> None:
    mixed = teacher(BRANCHING)
    mixed.nodes[0].token_ids = [1, 2]
    unsaid = teacher(BRANCHING)
    unsaid.nodes[3].message = None
    lost = teacher(BRANCHING)
    lost.nodes[3].parent = 9
    reasons = [str(i.payload) for t in (mixed, unsaid, lost) for i in stream(None, t)]
    assert reasons == [
        "tokens: node 7 is text without tokens",
        "render: node 3 has neither tokens nor a message",
        "nodes: node 3 does not come after its parent 9",
    ]


@pytest.mark.parametrize("objective", ["grpo", "gspo", "opd"])
@pytest.mark.parametrize("record", [Sample(id="x", text="abc"), teacher(BRANCHING, id="x")])
def test_reinforcement_refuses_text(objective: str, record: Any) -> None:
    with pytest.raises(InputError, match=r"in.jsonl: line 1: (sample|trajectory) x is text and has no log-probs") as e:
        stream(None, record, objective=objective)
    assert e.value.code == 4 and "--for sft" in e.value.hint


@pytest.mark.parametrize("objective", ["sft", "em-sft", "tst", "rft"])
def test_supervised_training_takes_text_beside_tokens(objective: str) -> None:
    exact = attempt([node(0, None, [1]), node(1, 0, [2], True)], tokenizer=load().digest, id="exact", size=1)
    records = [Sample(id="s", messages=[user("q"), said("a")]), exact, teacher(BRANCHING, id="t", group="h")]
    records.append(Sample(id="u", text="plain text"))
    pack = packed(None, *records, objective=objective)
    assert [s.trajectory_id for s in pack.samples] == ["s", "exact", "t", "u"]
    assert pack.objective == objective and pack.step_counts.groups == 4
    assert packed(None, *records, objective=objective).id == pack.id
