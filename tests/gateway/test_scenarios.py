"""What agents do to their history, through the official SDKs: four APIs, streamed and not, exact tokens each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katcore.gateway import journal
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session, Trace, cut_off
from katcore.records import Exit, Node, Scaffold, Trajectory
from katcore.trajectory.paths import Paths
from tests.support.gateway_fakes import CAPS, FakeEngine, StreamingFake, bash_call
from tests.support.gateway_fakes import opened as session_at
from tests.support.sdk_clients import AGENTS, CONFLICT, OUT_OF_TIME, REFUSED, Base


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "journal", tcp=("127.0.0.1", 0), keep_alive_s=0.2) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=AGENTS, ids=[agent.name for agent in AGENTS])
def opened(request: pytest.FixtureRequest, gateway: Gateway, streamed: bool) -> Callable[..., Any]:
    """(engine, session, agent) for answers, one a call; the last one again and again."""

    def open_(answers: list[str], client: dict[str, Any] | None = None, **session: Any) -> Any:
        engine = StreamingFake(lambda n: answers[min(n, len(answers) - 1)])
        made = session_at(gateway, engine, **session)
        options = {"max_retries": 0, **(client or {})}
        return engine, made, request.param(f"http://127.0.0.1:{gateway.port}", made.key, stream=streamed, **options)

    return open_


def path(trace: Trace, node: int | None) -> list[Node]:
    found: list[Node] = []
    while node is not None:
        found.insert(0, trace.nodes[node])
        node = trace.nodes[node].parent
    return found


def closed(gateway: Gateway, session: Session, engine: FakeEngine) -> Trace:
    """What was recorded, with the invariant checked: root to node is prompt + completion, and no token is lost."""
    trace = gateway.close_session(session)
    answered = [call for call in trace.calls if call.error is None]
    assert len(answered) == len(engine.seen)
    left = list(engine.seen)
    for call in answered:
        nodes = path(trace, call.node)
        ids = [token for node in nodes for token in node.token_ids or []]
        matching = next(pair for pair in left if pair[0] + pair[1] == ids)
        left.remove(matching)
        start, end = nodes[-1].sampled[0]
        assert (nodes[-1].token_ids or [])[start:end] == matching[1]
        assert len(nodes[-1].engine_logprobs or []) == len(matching[1])
    captured = sum(len(completion) for _, completion in engine.seen)
    delivered = sum(b - a for node in trace.nodes for a, b in node.sampled)
    assert delivered == captured and not left
    return trace


def boundaries(trace: Trace) -> list[tuple[str, str]]:
    """What parts from main, in order: boundary and lineage of each branch's first node."""
    found: dict[str, str] = {}
    for node in trace.nodes:
        if node.lineage not in found:
            found[node.lineage] = node.boundary
    return [(boundary, lineage) for lineage, boundary in found.items()]


def extends(engine: FakeEngine, call: int, other: int) -> bool:
    """Whether the prompt of one call begins with prompt and completion of another."""
    before = engine.seen[other][0] + engine.seen[other][1]
    return engine.seen[call][0][: len(before)] == before


def test_linear(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened(["I look. " + bash_call("ls  -la"), bash_call("cat a"), "  Done.\n"])
    agent.user("Fix it.")
    for number, text in enumerate(("a\nb", "A")):
        said = agent.ask()
        assert said.stop == "tool_calls" and said.calls[0][1] == "bash"
        assert said.tokens == tuple(map(len, engine.seen[number]))
        agent.results([(said.calls[0][0], text)])
    last = agent.ask()
    assert (last.text.strip(), last.stop) == ("Done.", "stop")
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main")] and extends(engine, 1, 0) and extends(engine, 2, 1)
    roles = ["system", "user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert [node.role for node in trace.nodes] == roles
    assert {call.dialect for call in trace.calls} == {agent.name}


def test_parallel_tools(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened([bash_call("ls") + "\n" + bash_call("pwd") + "\n" + bash_call("id"), "Done."])
    agent.user("Look.")
    said = agent.ask()
    assert [call[2]["command"] for call in said.calls] == ["ls", "pwd", "id"]
    assert len({call[0] for call in said.calls}) == 3
    agent.results([(call[0], call[2]["command"] + "!") for call in said.calls])
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main")] and extends(engine, 1, 0)
    assert len(trace.nodes[2].tool_calls) == 3 and all(call.span for call in trace.nodes[2].tool_calls)


def test_subagents(opened: Callable[..., Any], gateway: Gateway) -> None:
    """Two of one kind, one after the other, then the main conversation goes on."""
    engine, session, agent = opened([bash_call("task"), bash_call("ls"), "found", "found too", "Done."])
    agent.user("Fix it.")
    call = agent.ask().calls[0]
    for work in ("Look here.", "Look there."):
        sub = agent.other("You search.", tools=True)
        sub.user(work)
        for inner in sub.ask().calls:
            sub.results([(inner[0], "a")])
            sub.ask()
    agent.results([(call[0], "found")])
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main"), ("subagent", "subagent-1"), ("subagent", "subagent-2")]
    assert trace.nodes[-1].lineage == "main" and extends(engine, 4, 0)


def test_a_subagent_with_the_same_prompt_is_told_by_its_header(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened([bash_call("task"), "found", "Done."])
    agent.user("Fix it.")
    call = agent.ask().calls[0]
    sub = agent.other(agent.system, tools=True)
    sub.headers = {"x-claude-code-agent-id": "a1"}
    sub.user("Look.")
    sub.ask()
    agent.results([(call[0], "found")])
    agent.ask()
    assert boundaries(closed(gateway, session, engine)) == [("none", "main"), ("subagent", "subagent-1")]


def test_title_call(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened([bash_call("ls"), "A title", "Done."])
    agent.user("Fix it.")
    call = agent.ask().calls[0]
    title = agent.other("Write a title.", tools=False)
    title.user("Fix it.")
    assert title.ask().text == "A title"
    agent.results([(call[0], "a")])
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main"), ("title", "title-1")] and extends(engine, 2, 0)


def test_a_title_call_that_comes_first_does_not_take_the_agents_place(
    opened: Callable[..., Any], gateway: Gateway
) -> None:
    engine, session, agent = opened(["A title", "Done."])
    title = agent.other("Write a title.", tools=False)
    title.user("Fix it.")
    title.ask()
    agent.user("Fix it.")
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("title", "title-1"), ("none", "main")]
    found = journal.read_journal(session.journal.path).nodes
    assert [(node.lineage, node.boundary) for node in found] == [(n.lineage, n.boundary) for n in trace.nodes]


def test_compaction(opened: Callable[..., Any], gateway: Gateway) -> None:
    """A summary is asked for at the end of the conversation; then a short history takes its place."""
    engine, session, agent = opened([bash_call("ls"), bash_call("cat a"), "Summary: looked.", bash_call("x"), "Done."])
    agent.user("Fix it.")
    for text in ("a", "A"):
        agent.results([(agent.ask().calls[0][0], text)])
    agent.user("Write a summary.")
    summary = agent.ask().text
    agent.history = []
    agent.user(f"What was done: {summary} Go on.")
    agent.results([(agent.ask().calls[0][0], "X")])
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main"), ("compaction", "compaction-1")]
    assert extends(engine, 2, 1) and extends(engine, 4, 3) and not extends(engine, 3, 2)


def test_a_compaction_under_another_system_prompt(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened([bash_call("ls"), "Summary: the folder has one file.", "Done."])
    agent.user("Fix it.")
    agent.results([(agent.ask().calls[0][0], "a")])
    summary = agent.other("You summarise.", tools=False, history=agent.history)
    summary.user("What did we do so far?")
    said = summary.ask().text
    agent.history = []
    agent.user(f"What was done: {said} Go on.")
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main"), ("compaction", "compaction-1"), ("compaction", "compaction-2")]


def test_a_call_that_quotes_the_work_and_leads_nowhere(opened: Callable[..., Any], gateway: Gateway) -> None:
    """What a commit says, or a summary for people: it is asked for last, and is not the agent's conversation."""
    engine, session, agent = opened([bash_call("ls"), "Done.", "Add a file that was missing."])
    agent.user("Fix it.")
    agent.results([(agent.ask().calls[0][0], "a")])
    agent.ask()
    commit = agent.other("You write commit messages.", tools=False, history=agent.history)
    commit.user("Write the message.")
    commit.ask()
    trace = closed(gateway, session, engine)
    (main, side) = boundaries(trace)
    assert main == ("none", "main") and side[0] == "title" and side[1].startswith("title")
    scaffold = Scaffold(name="s")
    made = Trajectory(
        id="t", task_id="t", group_id="t", scaffold=scaffold, model="m", nodes=trace.nodes, calls=trace.calls
    )
    assert [node.id for node in Paths(made).main] == [node.id for node in trace.nodes if node.lineage == "main"]


def test_dropped_thinking(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened(["<think>\nLet me see.\n</think>\n\nI look." + bash_call("ls"), "Done."])
    agent.user("Fix it.")
    said = agent.ask()
    assert said.thinking == "Let me see." and said.text.strip() == "I look."
    agent.without_thinking()
    agent.results([(said.calls[0][0], "a")])
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main")] and extends(engine, 1, 0)


def test_kept_thinking(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened(["<think>\nLet me see.\n</think>\n\nI look." + bash_call("ls"), "Done."])
    agent.user("Fix it.")
    agent.results([(agent.ask().calls[0][0], "a")])
    agent.ask()
    assert boundaries(closed(gateway, session, engine)) == [("none", "main")] and extends(engine, 1, 0)


def test_retry_after_a_failure(opened: Callable[..., Any], gateway: Gateway) -> None:
    gateway._keep_alive_s = 30.0  # once a stream has begun, an error is a part of it
    engine, session, agent = opened(["Done."], client={"max_retries": 2})
    engine.fail = 1
    agent.user("Fix it.")
    assert agent.ask().text == "Done."
    trace = closed(gateway, session, engine)
    assert [bool(call.error) for call in trace.calls] == [True, False]
    assert trace.calls[1].retries == int(agent.marks_retries)


def test_retry_of_a_call_in_flight(opened: Callable[..., Any], gateway: Gateway, streamed: bool) -> None:
    """The client loses patience and asks again: it gets the answer of the call that it gave up."""
    if streamed:
        gateway._keep_alive_s = 30.0
    engine, session, agent = opened(["Done."], client={"max_retries": 4, "timeout": 0.4})
    engine.delay = 0.7
    agent.user("Fix it.")
    assert agent.ask().text == "Done."
    trace = closed(gateway, session, engine)
    assert len(trace.calls) == len(engine.seen) == 1


def test_drift(opened: Callable[..., Any], gateway: Gateway) -> None:
    """The last answer comes back with other words."""
    engine, session, agent = opened(["I think it is done.", "Yes."])
    agent.user("Fix it.")
    agent.ask()
    agent.change_last("I believe that it is done.")
    agent.user("Sure?")
    agent.ask()
    trace = closed(gateway, session, engine)
    assert boundaries(trace) == [("none", "main"), ("none", "drift-1")] and not extends(engine, 1, 0)


def test_overflow(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened(["Done."], caps=replace(CAPS, context=60))
    agent.user("word " * 100)
    with pytest.raises(REFUSED) as error:
        agent.ask()
    said = str(error.value)
    assert "context" in said or "prompt is too long" in said or "input token count" in said
    trace = closed(gateway, session, engine)
    assert cut_off(trace, Exit(kind="agent_error")).kind == "context" and engine.seen == []


def test_length(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened(["one two three four five six seven eight", "Done."])
    agent.user("Count.")
    said = agent.ask(max_tokens=4)
    assert said.stop == "length" and said.tokens[1] == 4
    agent.user("Go on.")
    agent.ask()
    assert boundaries(closed(gateway, session, engine)) == [("none", "main")] and extends(engine, 1, 0)


def test_abort(opened: Callable[..., Any], gateway: Gateway, streamed: bool) -> None:
    """The agent leaves in mid-answer; what was sampled is recorded whole, and is what the same question gets."""
    engine, session, agent = opened(["word " * 40, "Done."], client={"timeout": 0.3} if not streamed else {})
    engine.delay, engine.step_s = (0.0, 0.05) if streamed else (0.6, 0.0)
    agent.user("Fix it.")
    leave(agent, streamed)
    while len(engine.seen) < 1 or session.in_flight:
        time.sleep(0.01)
    engine.delay = 0.0
    while session.calls[0].delivered is not False:
        time.sleep(0.01)
    assert agent.ask().text.strip() == ("word " * 40).strip()
    trace = closed(gateway, session, engine)
    assert [(call.error, call.delivered) for call in trace.calls] == [(None, True)]
    assert boundaries(trace) == [("none", "main")]


def leave(agent: Base, streamed: bool) -> None:
    if streamed:
        agent.abort()  # type: ignore[attr-defined]
        return
    with pytest.raises(OUT_OF_TIME):
        agent.ask()


def test_a_key_is_refused_when_the_rollout_is_over(opened: Callable[..., Any], gateway: Gateway) -> None:
    engine, session, agent = opened(["Done."])
    agent.user("Fix it.")
    agent.ask()
    closed(gateway, session, engine)
    with pytest.raises(CONFLICT):
        agent.ask()


def test_images_are_shown_as_placeholders_to_a_model_of_text(opened: Callable[..., Any], gateway: Gateway) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        "openai-chat": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        "openai-responses": {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
    }
    engine, session, agent = opened(["Done."])
    if agent.name == "gemini":
        data = {"inline_data": {"mime_type": "image/png", "data": b"0"}}
        agent.history.append({"role": "user", "parts": [{"text": "See "}, data]})
    else:
        agent.history.append({"role": "user", "content": [kinds[agent.name]]})
    assert agent.ask().text == "Done."
    closed(gateway, session, engine)
    assert "[image]" in engine.chat.decode(engine.seen[0][0])
