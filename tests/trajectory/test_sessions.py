"""The logs of Claude Code, Codex and Cline as trajectories: each call with what it was shown, each branch by its kind.

The logs are small and written by hand in the form of the real ones; `tests/rollout/test_session_logs.py` reads what the
real agents leave.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from katcore.records import Json, Trajectory
from katcore.trajectory.paths import Paths
from katcore.trajectory.sessions.records import session_items
from tests.support.session_logs import (
    SESSION,
    ClaudeLog,
    CodexLog,
    cline_result,
    cline_says,
    cline_user,
    message,
    text,
    use,
    write,
)


def converted(name: str, *paths: Path) -> Trajectory:
    """The one session in these files."""
    (item,) = session_items(name, paths, lambda what, n: None)
    assert isinstance(item.payload, Trajectory), item.payload
    return item.payload


def shown(made: Trajectory, call: int) -> list[tuple[str, Any]]:
    """What a call's model was shown and said: role, and text or the names of calls."""
    nodes = Paths(made).path(made.calls[call].node)
    said: list[Json] = [node.message or {} for node in nodes]
    return [(each["role"], each["content"] or [c["id"] for c in each["tool_calls"]]) for each in said]


def branches(made: Trajectory) -> list[tuple[str, str]]:
    """Boundary and lineage of each branch's first node."""
    first = {node.lineage: node.boundary for node in reversed(made.nodes)}
    return [(boundary, lineage) for lineage, boundary in reversed(first.items())]


# ------------------------------------------------------------------ Claude Code


def claude(tmp_path: Path, log: ClaudeLog, **agents: ClaudeLog) -> Path:
    for name, agent in agents.items():
        write(tmp_path / "p" / SESSION / "subagents" / f"agent-{name}.jsonl", agent.lines)
    return write(tmp_path / "p" / f"{SESSION}.jsonl", log.lines)


def test_an_answer_in_several_lines_is_one_message(tmp_path: Path) -> None:
    log = ClaudeLog()
    log.user("Fix it.")
    log.reminder("Be brief.")
    log.reminder("<system-reminder>\nIt is late.\n</system-reminder>", "system")
    log.says("m1", {"type": "thinking", "thinking": "Hm.", "signature": "x"}, text("I look."), use("a", "ls"))
    log.result("a", "no", is_error=True)
    log.says("m2", text("Done."))
    made = converted("claude-code", claude(tmp_path, log))
    assert shown(made, 1) == [
        ("user", "Be brief.\n\n\nFix it."), ("system", "It is late."), ("assistant", "I look."), ("tool", "no"),
        ("assistant", "Done."),
    ]  # fmt: skip
    first = made.nodes[2]
    assert first.message == {
        "role": "assistant", "content": "I look.", "reasoning_content": "Hm.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "Bash", "arguments": '{"command":"ls"}'}}
        ],
    }  # fmt: skip
    assert made.nodes[3].message == {"role": "tool", "tool_call_id": "a", "content": "no", "is_error": True}
    (call,) = first.tool_calls
    assert (call.name, call.outcome, call.outcome_by) == ("Bash", "tool_error", "agent")
    assert first.origin == "external"
    assert (made.scaffold.name, made.scaffold.version, made.model) == ("claude-code", "2.1.330", "claude")
    assert made.calls[0].usage == {"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 3}
    assert made.calls[0].started_at == "2026-01-02T03:04:04Z" and made.calls[0].dialect == "anthropic"
    assert all(node.token_ids is None for node in made.nodes) and branches(made) == [("none", "main")]


def test_results_of_parallel_calls_hang_on_lines_of_their_own(tmp_path: Path) -> None:
    """Each result is below its own line of the answer: a walk along the links alone would lose one."""
    log = ClaudeLog()
    log.user("Fix it.")
    one = log.says("m1", use("a", "ls"))
    two = log.says("m1", use("b", "pwd"))
    log.result("a", "A", parent=one)
    log.result("b", "B", parent=two)
    log.says("m2", text("Done."))
    made = converted("claude-code", claude(tmp_path, log))
    assert sorted(shown(made, 1)[2:4]) == [("tool", "A"), ("tool", "B")] and len(made.calls) == 2
    assert shown(made, 1)[1] == ("assistant", ["a", "b"]) and branches(made) == [("none", "main")]


def test_a_prompt_that_was_edited_is_a_branch(tmp_path: Path) -> None:
    log = ClaudeLog()
    log.user("Fix it.")
    fork = log.says("m1", text("What?"))
    log.user("The test.")
    log.says("m2", text("No."))
    log.user("The other test.", parent=fork)
    log.says("m3", text("Yes."))
    made = converted("claude-code", claude(tmp_path, log))
    assert branches(made) == [("none", "main"), ("none", "branch-1")]
    assert shown(made, 2)[2:] == [("user", "The other test."), ("assistant", "Yes.")]


def test_a_compaction_keeps_what_it_names(tmp_path: Path) -> None:
    log = ClaudeLog()
    log.user("Fix it.")
    log.says("m1", use("a", "ls"))
    log.result("a", "A")
    kept = log.says("m2", use("b", "cat A"))
    result = log.result("b", "alpha")
    anchor = "u7"
    told = {"preservedMessages": {"anchorUuid": anchor, "uuids": [kept, result]}}
    log.add("system", None, subtype="compact_boundary", logicalParentUuid=result, compactMetadata=told)
    assert log.user("What was done: I looked.", isCompactSummary=True) == anchor
    log.says("m3", text("Done."))
    made = converted("claude-code", claude(tmp_path, log))
    assert branches(made) == [("none", "main"), ("compaction", "compaction-1")]
    assert shown(made, 2) == [
        ("user", "What was done: I looked."), ("assistant", ["b"]), ("tool", "alpha"), ("assistant", "Done."),
    ]  # fmt: skip


def test_sub_agents_have_logs_of_their_own_or_lines_in_the_log(tmp_path: Path) -> None:
    log, agent, inline = ClaudeLog(), ClaudeLog("a1"), ClaudeLog("a2")
    log.user("Fix it.")
    log.says("m1", use("a", "task"))
    for other in (agent, inline):
        other.user("Look.")
        other.says(f"m{other.agent}", text("Found."))
    log.lines += inline.lines
    log.result("a", "Found.")
    log.says("m2", text("Done."))
    path = claude(tmp_path, log, a1=agent)
    made = converted("claude-code", path)
    assert sorted(branches(made)) == [("none", "main"), ("subagent", "subagent-1"), ("subagent", "subagent-2")]
    folder = list(session_items("claude-code", [tmp_path], lambda what, n: None))
    assert [item.payload for item in folder] == [made], "a sub-agent's log is no session"
    (beside,) = session_items("claude-code", [path, *tmp_path.rglob("agent-*.jsonl")], lambda what, n: None)
    assert beside.payload == made
    path.unlink()
    alone = converted("claude-code", tmp_path)
    assert branches(alone) == [("subagent", "subagent-1")] and len(alone.calls) == 1


def test_sidechains_of_older_versions_name_no_agent(tmp_path: Path) -> None:
    log, inline = ClaudeLog(), ClaudeLog("old")
    log.user("Fix it.")
    inline.user("Look.")
    inline.says("m9", text("Found."))
    log.lines += [{name: value for name, value in line.items() if name != "agentId"} for line in inline.lines]
    log.says("m1", text("Done."))
    made = converted("claude-code", claude(tmp_path, log))
    assert sorted(branches(made)) == [("none", "main"), ("subagent", "subagent-1")]
    assert made.artifacts["session"]["lost"] == {"system_prompts": 1}


def test_a_change_of_mode_is_marked(tmp_path: Path) -> None:
    log = ClaudeLog()
    log.user("Think.", permissionMode="plan")
    log.says("m1", text("A plan."))
    log.user("Do it.", permissionMode="acceptEdits")
    log.says("m2", text("Done."))
    made = converted("claude-code", claude(tmp_path, log))
    assert [node.boundary for node in made.nodes] == ["none", "none", "mode", "none"]
    assert {node.lineage for node in made.nodes} == {"main"}


def test_the_system_prompt_and_tools_of_newer_versions(tmp_path: Path) -> None:
    log = ClaudeLog()
    system = [{"type": "text", "text": "x-anthropic-billing-header: 1"}, {"type": "text", "text": "You are an agent."}]
    tool = {"name": "Bash", "description": "Run it.", "input_schema": {"type": "object"}}
    log.lines.append({"type": "api-request-shape", "shapeHash": "s", "shape": {"system": system, "tools": [tool]}})
    log.lines.append({"type": "api-request", "id": "r1", "shapeHash": "s"})
    log.user("Fix it.")
    log.says("m1", text("Done."))
    log.lines[-1]["requestRef"] = "r1"
    made = converted("claude-code", claude(tmp_path, log))
    function = {"name": "Bash", "description": "Run it.", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}]
    assert made.nodes[0].message == {"role": "system", "content": "You are an agent.", "tools": tools}
    assert made.artifacts["session"]["lost"] == {}


def test_what_the_program_said_itself_is_no_call(tmp_path: Path) -> None:
    log = ClaudeLog()
    log.user("Fix it.")
    log.says("m1", text("API Error"))
    log.lines[-1] |= {"isApiErrorMessage": True}
    log.lines[-1]["message"]["model"] = "<synthetic>"
    log.user("Again.", parent="u1")
    log.says("m2", text("Done."))
    assert [call.node for call in converted("claude-code", claude(tmp_path, log)).calls] == [1]


# ------------------------------------------------------------------ Codex


def codex(tmp_path: Path, *logs: CodexLog) -> Path:
    for number, log in enumerate(logs):
        write(tmp_path / "sessions" / "2026" / "01" / "02" / f"rollout-2026-01-02T03-04-0{number}-t.jsonl", log.lines)
    return tmp_path / "sessions"


def test_codex_items_are_turns(tmp_path: Path) -> None:
    log = CodexLog()
    log.user("Rules.", "developer")
    log.user("Fix it.")
    log.item({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "x"})
    log.item(message("assistant", "I look."))
    log.calls("a", "ls")
    failed = "Wall time: 0.1 seconds\nProcess exited with code 3\nOutput:\nA"
    log.output("a", failed)
    log.item({"type": "custom_tool_call", "name": "apply_patch", "call_id": "b", "input": "*** Begin"})
    log.used()
    log.item({"type": "custom_tool_call_output", "call_id": "b", "output": "ok"})
    log.item({"type": "ghost_snapshot"})
    log.says("Done.")
    made = converted("codex", codex(tmp_path, log))
    assert shown(made, 2) == [
        ("system", "You are Codex."), ("developer", "Rules."), ("user", "Fix it."), ("assistant", "I look."),
        ("tool", failed), ("assistant", ["b"]), ("tool", "ok"), ("assistant", "Done."),
    ]  # fmt: skip
    assert (made.nodes[3].message or {})["reasoning_content"] == "Hm."
    judged = [(call.outcome, call.outcome_by) for node in made.nodes for call in node.tool_calls]
    assert judged == [("nonzero_exit", "rules"), (None, None)], "of the second nobody says anything"
    patch = (made.nodes[5].message or {})["tool_calls"][0]["function"]
    assert patch == {"name": "apply_patch", "arguments": '{"input": "*** Begin"}'}
    assert made.calls[0].usage == {"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 4}
    assert (made.scaffold.version, made.model, made.calls[0].dialect) == ("0.169.0", "gpt", "openai-responses")


def test_codex_branches(tmp_path: Path) -> None:
    """A compaction, a change of mode, a turn that was taken back, and a sub-agent in a thread of its own."""
    log, sub = CodexLog(), CodexLog("t2", parent="t1")
    log.user("Fix it.")
    log.calls("a", "ls")
    log.output("a", "A")
    log.says("Summary.", metadata={"compaction_output": True})
    replaced = [message("user", "Fix it."), message("user", "Another model did: Summary.")]
    log.add("compacted", {"message": "Summary.", "replacement_history": replaced})
    log.says("Done.")
    log.turn("Now plan.")
    log.mode("plan")
    log.says("A plan.")
    log.add("event_msg", {"type": "thread_rolled_back", "num_turns": 1})
    log.turn("Now test.")
    log.says("Tested.")
    sub.user("Look.")
    sub.says("Found.")
    counts: dict[str, int] = {}
    (item,) = session_items("codex", [codex(tmp_path, log, sub)], lambda what, n: counts.update({what: n}))
    made = item.payload
    assert isinstance(made, Trajectory)
    kinds = {(boundary, lineage.partition("-")[0]) for boundary, lineage in branches(made)}
    assert kinds == {("none", "main"), ("compaction", "compaction"), ("subagent", "subagent"), ("none", "branch")}
    assert counts["lost_summaries"] == 1 and "Summary." not in [(node.message or {})["content"] for node in made.nodes]
    (mode,) = [node for node in made.nodes if node.boundary == "mode"]
    assert (mode.message or {})["content"] == "Now plan."
    last = next(n for n, call in enumerate(made.calls) if shown(made, n)[-1][1] == "Tested.")
    assert [said for _, said in shown(made, last)[1:]] == [
        "Fix it.", "Another model did: Summary.", "Done.", "Now test.", "Tested.",
    ]  # fmt: skip


# ------------------------------------------------------------------ Cline


def test_cline_of_the_command_line(tmp_path: Path) -> None:
    said = [
        cline_user(text('<user_input mode="plan">Fix it.</user_input>')),
        cline_says({**use("a", "ls"), "name": "run_commands"}, size=10),
        cline_result("a", "A"),
        cline_says(text("I looked."), size=20, at=1),
        cline_user(text('<user_input mode="act">Go on.</user_input>')),
        cline_says(text("Done."), size=12, at=2),
    ]
    folder = tmp_path / "sessions" / "s1"
    origin = {"origin": {"version": "3.0.65"}, "system_prompt": "You are Cline."}
    write(folder / "s1.messages.json", [{"sessionId": "s1", "messages": said, **origin}])
    write(folder / "s1.json", [{"cwd": "/home/alice/x"}])
    summary = [cline_user(text("Fix it."), text("Compacted.")), said[3]]
    write(folder / "s1.compaction.json", [{"source_message_count": 4, "messages": summary}])
    agent = [cline_user(text("Look.")), cline_says(text("Found."), at=1)]
    write(folder / "agent_1.messages.json", [{"messages": agent, "origin": {"mode": "subagent"}}])
    made = converted("cline", tmp_path)
    assert sorted(branches(made)) == [("compaction", "compaction-2"), ("none", "main"), ("subagent", "subagent-1")]
    done = next(n for n, call in enumerate(made.calls) if shown(made, n)[-1][1] == "Done.")
    assert shown(made, done)[:-1] == [
        ("system", "You are Cline."), ("user", "Fix it.\n\nCompacted."), ("assistant", "I looked."), ("user", "Go on."),
    ]  # fmt: skip
    result = next(node.message for node in made.nodes if node.role == "tool")
    assert result and json.loads(result["content"]) == [{"query": "ls", "result": "A", "success": True}]
    assert (made.scaffold.version, made.model, made.calls[0].usage["prompt_tokens"]) == ("3.0.65", "qwen", 10)
    assert made.artifacts["session"]["lost"] == {"system_prompts": 1}, "the sub-agent's"


def test_calls_behind_a_compaction_that_cline_did_not_keep_are_left_out(tmp_path: Path) -> None:
    said = [cline_user(text("Fix it."))]
    for n, size in enumerate((100, 200, 50, 60)):
        said += [cline_says(text(f"Answer {n}."), size=size, at=n), cline_user(text("Go on."))]
    folder = tmp_path / "s1"
    write(folder / "s1.messages.json", [{"messages": said, "system_prompt": "You are Cline."}])
    write(folder / "s1.compaction.json", [{"source_message_count": 7, "messages": [cline_user(text("So far."))]}])
    counts: dict[str, int] = {}
    (item,) = session_items("cline", [tmp_path], lambda what, n: counts.update({what: n}))
    assert [shown(item.payload, n)[-1][1] for n in range(3)] == ["Answer 0.", "Answer 1.", "Answer 3."]
    assert counts["lost_calls"] == 1


def test_cline_of_the_extension(tmp_path: Path) -> None:
    mode = "<environment_details>\n# Current Mode\n{} MODE\n</environment_details>"
    said = [
        cline_user(text("<task>Fix it.</task>"), text(mode.format("PLAN"))),
        cline_says(text("A plan.")),
        cline_user(text("Do it."), text(mode.format("ACT"))),
        cline_says(text("I look."), at=1),
        cline_user(text("Result: A")),
        cline_says(text("Done."), at=2),
    ]
    folder = tmp_path / "tasks" / "1767323040000"
    write(folder / "api_conversation_history.json", [said])
    write(folder / "ui_messages.json", [[
        {"ts": 1, "type": "say", "say": "api_req_started", "conversationHistoryIndex": 1},
        {"ts": 2, "type": "say", "say": "api_req_started", "conversationHistoryIndex": 4,
         "conversationHistoryDeletedRange": [2, 3]},
    ]])  # fmt: skip
    write(folder / "task_metadata.json", [{"model_usage": [{"model_id": "sonnet", "mode": "plan"}]}])
    made = converted("cline", tmp_path)
    assert made.model == "qwen" or made.model == "sonnet"
    assert [node.boundary for node in made.nodes] == ["none", "none", "mode", "none", "compaction", "none"]
    assert [said for _, said in shown(made, 2)][1:] == ["A plan.", "Result: A", "Done."]


# ------------------------------------------------------------------ what cannot be read


def kat(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def whole(name: str) -> ClaudeLog:
    log = ClaudeLog()
    log.user(f"Fix {name}.")
    log.says("m1", text("Done."))
    log.user("More.")
    log.says("m2", text("More done."))
    return log


def test_what_cannot_be_read_is_a_dead_letter_with_file_and_line(tmp_path: Path) -> None:
    logs = {name: write(tmp_path / "p" / f"{name}.jsonl", whole(name).lines) for name in ("a", "b", "c", "d")}
    lines = logs["b"].read_text().splitlines(keepends=True)
    logs["b"].write_text(lines[0] + "{broken\n" + "".join(lines[2:]))  # what follows follows from what is not there
    logs["c"].write_text("".join(lines[:3]) + lines[3][:40])  # it died while it wrote
    logs["d"].write_text('{"type": "summary", "summary": "x", "leafUuid": "y"}\n')
    out, dead = tmp_path / "out.jsonl", tmp_path / "dead.jsonl"
    done = kat("kat-rollout", "convert", "--from", "claude-code", tmp_path / "p", "-o", out, "--dead-letter", dead)
    assert done.returncode == 3, done.stderr
    made = [json.loads(line) for line in out.read_text().splitlines()]
    assert [len(each["calls"]) for each in made] == [2, 1]
    letters = [json.loads(line) for line in dead.read_text().splitlines()]
    told = sorted((Path(each["file"]).name, each["line"] or 0, each["error"]) for each in letters)
    assert [(name, line) for name, line, _ in told][:2] == [("b.jsonl", 2), ("c.jsonl", 4)]
    assert "not JSON" in told[0][2] and told[2][0] == "d.jsonl" and "no answer" in told[2][2]


@pytest.mark.parametrize("name", ["claude-code", "codex", "cline"])
def test_a_folder_without_sessions_and_no_folder_are_bad_input(tmp_path: Path, name: str) -> None:
    missing = [tmp_path / "no.jsonl"]
    for files, why in (([tmp_path], "no session"), (missing, "No such file"), ([], "files or folders")):
        done = kat("kat-rollout", "convert", "--from", name, *files)
        assert done.returncode == 4 and why in done.stderr and done.stderr.count("\n") <= 2, done.stderr
    assert kat("kat-rollout", "convert", "--to", name, tmp_path).returncode == 2


def test_sessions_go_on_as_any_trajectory(tmp_path: Path) -> None:
    path = claude(tmp_path, whole("it"))
    done = kat("kat-rollout", "convert", "--from", "claude-code", "--to", "openai", path)
    assert [each["role"] for each in json.loads(done.stdout)["messages"]] == ["user", "assistant"] * 2
    out = tmp_path / "out.jsonl"
    assert kat("kat-rollout", "convert", "--from", "claude-code", path, "-o", out).returncode == 0
    trimmed = kat("kat-rollout", "trim", "--turns", "1", out)
    assert trimmed.returncode == 0 and len(json.loads(trimmed.stdout)["nodes"]) == 2, trimmed.stderr
