"""The tree of calls: exact tokens whatever the agent does with its history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katcore.gateway.prompt import History
from katcore.gateway.server import Gateway
from katcore.gateway.session import Trace
from katcore.model.folder import load
from katcore.model.template import ChatTemplate
from katcore.records import Node
from tests.support.gateway_fakes import FakeEngine, bash_call, opened, post, say

SYSTEM = {"role": "system", "content": "You are an agent."}
USER = {"role": "user", "content": "Fix it."}
TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]


def path(trace: Trace, node: int | None) -> list[Node]:
    found: list[Node] = []
    while node is not None:
        found.insert(0, trace.nodes[node])
        node = trace.nodes[node].parent
    return found


def check(trace: Trace, engine: FakeEngine) -> None:
    """The invariant: for every answered call, root to node is prompt + completion; spans are what was sampled."""
    answered = [call for call in trace.calls if call.error is None]
    assert len(answered) == len(engine.seen)
    for call in answered:
        nodes = path(trace, call.node)
        ids = [token for node in nodes for token in node.token_ids or []]
        matching = [(p, c) for p, c in engine.seen if p + c == ids]
        assert matching, "no call of the engine saw these tokens"
        last = nodes[-1]
        assert last.engine_logprobs is not None
        size = len(last.token_ids or [])
        (start, end), *_ = last.sampled or [(size, size)]  # an empty completion has no span
        assert (last.token_ids or [])[start:end] == matching[0][1] and end == len(last.token_ids or [])
        assert len(last.engine_logprobs) == end - start and last.versions == [(start, "7")]
        assert call.usage["prompt_tokens"] == len(matching[0][0])
    assert [node.id for node in trace.nodes] == list(range(len(trace.nodes)))
    assert all(node.parent is None or node.parent < node.id for node in trace.nodes)


def test_a_conversation_is_one_path_without_retokenisation(gateway: Gateway) -> None:
    # Spaces that a parser and the template's own writing would lose: only the sampled ids keep them.
    engine = FakeEngine(
        lambda n: ['<tool_call>\n{"name":  "bash",   "arguments": {"command":   "ls"} }\n</tool_call>', "  Done. "][n]
    )
    session = opened(gateway, engine)
    answer = say(session, [SYSTEM, USER], tools=TOOLS)
    call = answer["tool_calls"][0]
    call["function"]["arguments"] = json.dumps(json.loads(call["function"]["arguments"]))  # as many clients do
    result = {"role": "tool", "tool_call_id": call["id"], "content": "[exit 0]\na b"}
    say(session, [SYSTEM, USER, answer, result], tools=TOOLS)
    trace = gateway.close_session(session)
    check(trace, engine)
    assert [node.role for node in trace.nodes] == ["system", "user", "assistant", "tool", "assistant"]
    assert [node.parent for node in trace.nodes] == [None, 0, 1, 2, 3]
    assert engine.seen[1][0][: len(engine.seen[0][0]) + len(engine.seen[0][1])] == engine.seen[0][0] + engine.seen[0][1]
    assert {node.lineage for node in trace.nodes} == {"main"}


def test_prompts_that_hold_nothing_sampled_are_what_the_template_says(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    shown = [SYSTEM, USER, {"role": "assistant", "content": "Sure."}, {"role": "user", "content": "ok"}]
    say(opened(gateway, engine), shown, tools=TOOLS)
    assert engine.seen[0][0] == engine.chat.encode_prompt(shown, TOOLS)


def test_spans_of_tool_calls_hold_the_call(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "text " + bash_call("echo hi"))
    session = opened(gateway, engine)
    say(session, [USER], tools=TOOLS)
    node = gateway.close_session(session).nodes[-1]
    start, end = node.tool_calls[0].span or (0, 0)
    assert engine.chat.decode((node.token_ids or [])[start:end]).strip() == bash_call("echo hi")
    assert node.tool_calls[0].name == "bash"


def test_a_completion_that_was_cut_off_is_closed_in_the_next_prompt(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "no end here", stop=False)
    session = opened(gateway, engine)
    answer = say(session, [USER])
    say(session, [USER, answer, USER])
    trace = gateway.close_session(session)
    check(trace, engine)
    assert engine.chat.turn_end not in engine.seen[0][1]
    assert engine.seen[1][0] == engine.chat.encode_prompt([USER, answer, USER])


def test_a_changed_system_prompt_is_a_root_of_its_own(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    session = opened(gateway, engine)
    say(session, [SYSTEM, USER], tools=TOOLS)
    say(session, [{"role": "system", "content": "You are a helper."}, USER], tools=TOOLS)
    trace = gateway.close_session(session)
    check(trace, engine)
    roots = [node for node in trace.nodes if node.parent is None]
    assert [root.boundary for root in roots] == ["none", "subagent"] and roots[1].lineage == "subagent-1"


def test_changed_tools_are_a_root_of_their_own(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    session = opened(gateway, engine)
    say(session, [SYSTEM, USER], tools=TOOLS)
    say(session, [SYSTEM, USER])
    trace = gateway.close_session(session)
    check(trace, engine)
    assert [node.boundary for node in trace.nodes if node.parent is None] == ["none", "mode"]


def test_a_title_call_is_a_branch_and_main_goes_on(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    session = opened(gateway, engine)
    first = say(session, [SYSTEM, USER], tools=TOOLS)
    say(session, [{"role": "system", "content": "Write a title."}, USER])
    say(session, [SYSTEM, USER, first, USER], tools=TOOLS)
    trace = gateway.close_session(session)
    check(trace, engine)
    assert [node.boundary for node in trace.nodes if node.parent is None] == ["none", "title"]
    assert len(path(trace, trace.calls[2].node)) == 5 and trace.nodes[-1].lineage == "main"


def test_compaction_branches_where_the_history_parts(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    session = opened(gateway, engine)
    first = say(session, [SYSTEM, USER])
    say(session, [SYSTEM, USER, first, USER])
    say(session, [SYSTEM, {"role": "user", "content": "What was done: nothing. Go on."}])
    trace = gateway.close_session(session)
    check(trace, engine)
    fork = trace.nodes[trace.nodes[-1].parent or 0]
    assert fork.parent == 0 and fork.boundary == "compaction" and fork.lineage == trace.nodes[-1].lineage != "main"
    assert len([node for node in trace.nodes if node.sampled]) == 3, "nothing is thrown away"


def test_the_same_prompt_twice_gives_siblings(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    session = opened(gateway, engine)
    one, two = say(session, [USER]), say(session, [USER])
    say(session, [USER, one, USER])
    say(session, [USER, two, USER])
    trace = gateway.close_session(session)
    check(trace, engine)
    assert [node.role for node in trace.nodes].count("user") == 3
    assert len([node for node in trace.nodes if node.parent == 0]) == 2


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ("[exit 0]\nok", "ok"),
        ("[exit 1]", "nonzero_exit"),
        ("[timeout after 3 s]", "timeout"),
        ("[invalid_arguments] no", "invalid_arguments"),
        ("[unknown_tool] 'x'", "unknown_tool"),
        ("something else", "tool_error"),
    ],
)
def test_a_tool_result_sets_the_outcome_of_its_call(gateway: Gateway, content: str, outcome: str) -> None:
    from katcore.scaffold.bash_loop import BashLoop

    engine = FakeEngine(lambda n: [bash_call("a") + "\n" + bash_call("b"), "x"][n])
    session = opened(gateway, engine, rules=BashLoop().outcome)
    answer = say(session, [USER], tools=TOOLS)
    second = answer["tool_calls"][1]["id"]
    say(session, [USER, answer, {"role": "tool", "tool_call_id": second, "content": content}], tools=TOOLS)
    trace = gateway.close_session(session)
    assert [call.outcome for call in trace.nodes[1].tool_calls] == [None, outcome]


def test_malformed_arguments_are_invalid_from_the_start(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: '<tool_call>\n{"name": "bash", "arguments": {"command": \n</tool_call>')
    session = opened(gateway, engine)
    say(session, [USER], tools=TOOLS)
    assert gateway.close_session(session).nodes[-1].tool_calls[0].outcome == "invalid_arguments"


MERGED = """{%- for m in messages %}{%- if m.role == 'tool' %}
{%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}
{{- '<|im_start|>user' }}{%- endif %}{{- '\n<tool_response>\n' + m.content + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
{%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""


def test_results_that_the_template_writes_as_one_turn_stay_exact(gateway: Gateway) -> None:
    """Qwen's template puts consecutive tool results in one turn: a prompt with one of them does not extend to two."""
    small = load()
    chat = type(small)(small.folder, small.tokenizer, ChatTemplate({"default": MERGED}, {}))
    engine = FakeEngine(lambda n: f"answer {n}", chat=chat)
    session = opened(gateway, engine)
    answer = say(session, [USER])
    one, two = ({"role": "tool", "tool_call_id": str(n), "content": f"result {n}"} for n in (1, 2))
    for known in ([one, two], [one], [one, two, USER]):
        say(session, [USER, answer, *known])
    trace = gateway.close_session(session)
    check(trace, engine)
    for (prompt, _), known in zip(engine.seen[1:], ([one, two], [one], [one, two, USER])):
        assert prompt == chat.encode_prompt([USER, answer, *known])


FORGETFUL = """{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' }}
{%- if m.reasoning_content and loop.index0 > (messages | length) - 2 %}
{{- '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}{%- endif %}
{{- m.content + '<|im_end|>\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""


@pytest.mark.parametrize("history", ["sampled", "template"])
def test_a_template_that_rewrites_earlier_turns(gateway: Gateway, history: History) -> None:
    """Its own way it is a branch; by default the ids stay as they were sampled and only what is new is rendered."""
    small = load()
    chat = type(small)(small.folder, small.tokenizer, ChatTemplate({"default": FORGETFUL}, {}))
    engine = FakeEngine(lambda n: "<think>\nhm\n</think>\n\nanswer", chat=chat)
    session = opened(gateway, engine, history=history)
    answer = say(session, [USER])
    assert answer["reasoning_content"] == "hm"
    say(session, [USER, answer, USER])
    trace = gateway.close_session(session)
    check(trace, engine)
    if history == "template":
        assert engine.seen[1][0] == chat.encode_prompt([USER, answer, USER])
        assert [node.lineage for node in trace.nodes][-1] == "rendered-1"
    else:
        prompt, sampled = engine.seen[0]
        new = chat.encode("\n<|im_start|>user\nFix it.<|im_end|>\n") + chat.encode("<|im_start|>assistant\n")
        assert engine.seen[1][0] == prompt + sampled + new
        assert {node.lineage for node in trace.nodes} == {"main"}


words = st.sampled_from(["a", " ", "\n", "é", "<|im_end|>", "<|im_start|>", "<tool_call>", "{", "😀", "\t", "z"])
texts = st.lists(words, max_size=8).map("".join)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    """What an agent does at each call: (where it cuts a known conversation, of which call, what it adds)."""
    return draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), texts), min_size=1, max_size=7))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=histories(), answers=st.lists(texts, min_size=7, max_size=7), stop=st.booleans())
def test_every_call_is_exact_whatever_the_agent_does(
    gateway: Gateway, steps: list[tuple[int, int, str]], answers: list[str], stop: bool
) -> None:
    engine = FakeEngine(lambda n: answers[n % 7] + (bash_call("ls") if n % 3 == 1 else ""), stop=stop)
    session = opened(gateway, engine)
    conversations: list[list[dict[str, Any]]] = [[SYSTEM, USER]]
    for cut, which, text in steps:
        base = conversations[which % len(conversations)]
        kept = base[: len(base) - cut % len(base)] if cut else base
        prompt = [*kept, *_after(kept, text)]
        status, answer = post(session, {"messages": prompt, "tools": TOOLS if which % 2 else None})
        assert status == 200, answer
        conversations.append([*prompt, answer["choices"][0]["message"]])
    trace = gateway.close_session(session)
    check(trace, engine)


def _after(kept: list[dict[str, Any]], text: str) -> Iterator[dict[str, Any]]:
    calls = kept[-1].get("tool_calls") or []
    yield from ({"role": "tool", "tool_call_id": call["id"], "content": text} for call in calls)
    if not calls:
        yield {"role": "user", "content": text}
