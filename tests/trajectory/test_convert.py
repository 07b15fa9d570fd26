"""Round trips: foreign rows come back field for field; trajectories come back as far as a format holds them."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from katcore.errors import RecordError
from katcore.records import Exit, Json, Trajectory, encode
from katcore.trajectory import convert
from katcore.trajectory.convert import FORMATS, read_foreign
from katcore.trajectory.formats.anthropic_messages import RAW
from katcore.trajectory.paths import Paths
from katcore.trajectory.trim import TrimLimits, trim
from tests.support.attempts import branched, linear
from tests.support.foreign_rows import ATIF, MINI_SWE, OPENAI, ROWS, SWE_BENCH, VERIFIERS, Row

write_foreign = partial(convert.write_foreign, paths="main")


def reread(trajectory: Trajectory) -> Trajectory:
    """Through a line of a file."""
    return msgspec.json.decode(encode(trajectory), type=Trajectory)


def plain(trajectory: Trajectory) -> Json:
    """A trajectory as JSON, without what its conversion noted."""
    found = msgspec.to_builtins(trajectory)
    found["artifacts"] = {name: value for name, value in found["artifacts"].items() if name != "origin"}
    return found


def kat(*command: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*map(str, command)], input=stdin, capture_output=True, check=False)


# ------------------------------------------------------------------ their rows


@pytest.mark.parametrize("name", FORMATS)
def test_a_foreign_row_comes_back_field_for_field(name: str) -> None:
    rows, _ = write_foreign(name, reread(read_foreign(name, ROWS[name])))
    assert rows == [ROWS[name]]


@pytest.mark.parametrize("name", ["anthropic", "atif", "mini-swe-agent", "openai"])
def test_every_cut_of_a_foreign_row_can_be_written(name: str) -> None:
    row = write_foreign(name, trim(reread(read_foreign(name, ROWS[name])), TrimLimits(turns=1)))[0][0]
    full = json.dumps(ROWS[name])
    assert row != ROWS[name] and len(json.dumps(row)) < len(full) + 2000
    assert read_foreign(name, row).nodes


def test_a_changed_message_is_written_anew_and_its_neighbours_as_they_were() -> None:
    made = reread(read_foreign("anthropic", ROWS["anthropic"]))
    at = next(node.id for node in made.nodes if (node.message or {}).get("content") == "Go on.")
    made.nodes[at].message = {"role": "user", "content": "Stop."}
    row = write_foreign("anthropic", made)[0][0]
    assert row["messages"][2]["content"][2] == {"type": "text", "text": "Stop."}
    assert row["messages"][1] == ROWS["anthropic"]["messages"][1]
    assert row["system"] == ROWS["anthropic"]["system"] and row["max_tokens"] == 1024
    made.nodes[0].message = {"role": "system", "content": "You break things."}
    assert write_foreign("anthropic", made)[0][0]["system"] == "You break things."


def test_atif_gives_exact_tokens_a_sub_agent_and_calls() -> None:
    made = read_foreign("atif", ATIF)
    assert [node.role for node in made.nodes] == [
        "system", "user", "assistant", "tool", "tool", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert [node.token_ids for node in made.nodes[:6]] == [[], [], [1, 2, 3, 4, 5, 6], [], [], [7, 8, 9]]
    assert made.nodes[5].sampled == [(2, 3)] and made.nodes[5].engine_logprobs == [-0.25]
    assert made.nodes[6].boundary == "subagent" and made.nodes[6].parent is None
    assert made.calls[0].started_at == "2025-10-16T14:30:02Z"
    assert made.calls[0].usage == {"prompt_tokens": 4, "completion_tokens": 2, "cached_tokens": 1}
    assert json.loads(made.nodes[2].message["tool_calls"][0]["function"]["arguments"]) == {"metric": "price"}  # type: ignore[index]


def test_atif_whose_prompts_do_not_extend_each_other_is_text() -> None:
    row = json.loads(json.dumps(ATIF))
    row["steps"][3]["metrics"]["prompt_token_ids"] = [1, 2, 99]
    assert all(node.token_ids is None for node in read_foreign("atif", row).nodes)
    assert write_foreign("atif", read_foreign("atif", row))[0] == [row]


def test_mini_swe_agent_gives_the_patch_and_the_calls() -> None:
    made = read_foreign("mini-swe-agent", MINI_SWE)
    assert (made.task_id, made.model, made.scaffold.version) == ("repo__1", "some/model", "2.4.6")
    assert made.patch == "diff --git a/x b/x\n" and made.exit.kind == "submitted"
    assert [node.role for node in made.nodes] == ["system", "user", "assistant", "tool", "assistant"]
    assert made.calls[0].usage == {"prompt_tokens": 100, "completion_tokens": 7}
    assert made.calls[0].started_at == "2026-01-02T03:04:05.250000Z"


def test_verifiers_gives_the_tree_its_tokens_and_the_reward() -> None:
    made = read_foreign("verifiers", VERIFIERS)
    assert [node.parent for node in made.nodes] == [None, 0, 1, 0]
    assert made.nodes[1].sampled == [(1, 3)] and made.nodes[1].engine_logprobs == [-0.5, -0.25]
    assert made.verdict is not None and made.verdict.reward == pytest.approx(1.1)
    assert made.calls[0].usage == {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 2}
    assert made.calls[1].error == "busy" and made.calls[1].node is None
    assert made.task_id == "repo__1" and made.exit.kind == "turns"


def test_equal_rows_get_equal_ids_and_others_do_not() -> None:
    other = {**OPENAI, "messages": OPENAI["messages"][:2]}
    assert read_foreign("openai", OPENAI).id == read_foreign("openai", OPENAI).id != read_foreign("openai", other).id


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("atif", {"steps": []}, "has no schema_version, agent"),
        ("atif", {**ATIF, "agent": {"name": "x"}}, "'version' is missing"),
        ("atif", {**ATIF, "steps": [{"step_id": 1}]}, "'source' is missing"),
        ("openai", {"messages": "hello"}, "no list of objects"),
        ("anthropic", {"messages": [{"role": "user", "content": 7}]}, "no list of objects"),
        ("mini-swe-agent", {**MINI_SWE, "info": None}, "no row of mini-swe-agent"),
        ("swe-bench", {"instance_id": "x"}, "has no model_name_or_path"),
        ("verifiers", {**VERIFIERS, "nodes": [{"parent": 5, "message": {"role": "user"}}]}, "does not come after"),
    ],
)
def test_a_row_of_another_kind_says_what_is_wrong(name: str, row: Row, why: str) -> None:
    with pytest.raises(RecordError, match=why):
        read_foreign(name, row)


# ------------------------------------------------------------------ our trajectories


@pytest.mark.parametrize("name", ["atif", "mini-swe-agent", "verifiers"])
def test_tokens_logprobs_calls_and_verdict_survive(name: str) -> None:
    whole = linear()
    whole.nodes[1].role, whole.nodes[1].message = "developer", {"role": "developer", "content": "Fix it."}
    whole.nodes[2].message |= {"thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}  # type: ignore[operator]
    whole.nodes[3].message |= {"is_error": True, "name": "bash"}  # type: ignore[operator]
    rows, lost = write_foreign(name, whole)
    assert not lost
    assert plain(reread(read_foreign(name, json.loads(json.dumps(rows[0]))))) == plain(whole)


@pytest.mark.parametrize("name", ["atif", "mini-swe-agent", "verifiers"])
def test_text_without_calls_a_patch_or_an_exit_comes_back_without_them(name: str) -> None:
    whole = linear(tokens=False, patch=None, exit=Exit(), verdict=None)
    whole.calls.clear()
    assert plain(read_foreign(name, write_foreign(name, whole)[0][0])) == plain(whole)


def test_images_go_by_their_address() -> None:
    shown = [{"type": "text", "text": "This:"}, {"type": "image_url", "image_url": {"url": "shots/a.jpg"}}]
    whole = linear()
    whole.nodes[1].message = {"role": "user", "content": shown}
    step = write_foreign("atif", whole)[0][0]["steps"][1]
    assert step["message"][1] == {"type": "image", "source": {"media_type": "image/jpeg", "path": "shots/a.jpg"}}
    assert read_foreign("atif", write_foreign("atif", whole)[0][0]).nodes[1].message == whole.nodes[1].message
    block = write_foreign("anthropic", whole)[0][0]["messages"][0]["content"][1]
    assert block == {"type": "image", "source": {"type": "url", "url": "shots/a.jpg"}}
    assert read_foreign("anthropic", write_foreign("anthropic", whole)[0][0]).nodes[1].message == whole.nodes[1].message
    inline = read_foreign("anthropic", ROWS["anthropic"]).nodes[-2].message
    assert inline is not None and inline["content"][1]["image_url"] == {"url": "data:image/png;base64,aGk="}


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_messages_and_verdict_survive_and_the_rest_is_counted(name: str) -> None:
    whole = linear()
    rows, lost = write_foreign(name, whole)
    assert lost == {"tokens": 40, "logprobs": 12, "calls": 3}
    back = read_foreign(name, rows[0])
    assert [node.message for node in back.nodes] == [node.message for node in whole.nodes]
    assert back.verdict == whole.verdict and back.id == whole.id and back.patch == whole.patch


def test_a_prediction_is_the_patch_alone() -> None:
    rows, lost = write_foreign("swe-bench", linear())
    assert rows == [{"instance_id": "repo__1", "model_name_or_path": "policy", "model_patch": "--- a\n+++ b\n"}]
    assert lost == {"messages": 8, "tokens": 40, "logprobs": 12, "calls": 3, "verdicts": 1}
    assert write_foreign("swe-bench", replace(linear(), patch=None))[0][0]["model_patch"] == ""


def test_a_whole_tree_survives_in_verifiers() -> None:
    rows, lost = write_foreign("verifiers", branched(), paths="all")
    back = read_foreign("verifiers", rows[0])
    assert not lost and len(rows) == 1
    order = Paths(branched()).depth_first
    assert [node.lineage for node in back.nodes] == [branched().nodes[node].lineage for node in order]
    assert [back.nodes[call.node or 0].message for call in back.calls] == [
        branched().nodes[call.node or 0].message for call in branched().calls
    ]


def test_a_trace_counts_cached_tokens_apart() -> None:
    whole = linear()
    whole.calls[1].usage["cached_tokens"] = 20
    trace = write_foreign("verifiers", whole)[0][0]
    assert trace["calls"][1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "cached_input_tokens": 20}
    assert trace["nodes"][2]["mask"] == [False, True, True, True, True] and trace["nodes"][2]["sampled"]
    assert trace["nodes"][2]["logprobs"] == whole.nodes[2].engine_logprobs
    assert trace["timing"]["agent"]["end"] - trace["timing"]["agent"]["start"] == pytest.approx(2.0)


def test_branches_are_counted_or_written_one_by_one() -> None:
    rows, lost = write_foreign("openai", branched())
    assert len(rows) == 1 and lost["turns"] == 5
    rows, lost = write_foreign("openai", branched(), paths="all")
    assert len(rows) == 5 and "turns" not in lost and "messages" not in lost
    assert len({read_foreign("openai", row).id for row in rows}) == 5
    rows, lost = write_foreign("atif", branched())
    assert [sub["trajectory_id"] for sub in rows[0]["subagent_trajectories"]] == ["t1/6"]
    assert lost["turns"] == 4
    assert [node.boundary for node in read_foreign("atif", rows[0]).nodes] == ["compaction", "none", "subagent", "none"]


def test_arguments_that_are_no_object_survive() -> None:
    for arguments in ("{not json", '{"a": 1,  "b":2}', "[1]", ""):
        whole = linear()
        whole.nodes[5].message["tool_calls"][0]["function"]["arguments"] = arguments  # type: ignore[index]
        back = read_foreign("atif", write_foreign("atif", whole)[0][0])
        assert back.nodes[5].message["tool_calls"][0]["function"]["arguments"] == (arguments or "{}")  # type: ignore[index]
    whole.nodes[5].message["tool_calls"][0]["function"]["arguments"] = "{not json"  # type: ignore[index]
    blocks = write_foreign("anthropic", whole)[0][0]["messages"][3]["content"]
    assert blocks[-1]["input"] == {RAW: "{not json"}


def test_atif_is_what_its_own_rules_ask_for() -> None:
    for row in [write_foreign("atif", linear())[0][0], *write_foreign("atif", branched(), paths="all")[0]]:
        check_atif(row)


def check_atif(row: Any) -> None:
    """The rules of ATIF 1.7 on names, order and who may say what, as `atif.Trajectory` enforces them."""
    agent_only = {"model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics"}
    known = {"step_id", "timestamp", "source", "message", "observation", "extra", "llm_call_count"}
    root = {"schema_version", "session_id", "trajectory_id", "agent", "steps", "notes", "final_metrics", "extra"}
    assert row.keys() <= root | {"continued_trajectory_ref", "subagent_trajectories"}
    assert row["agent"].keys() <= {"name", "version", "model_name", "tool_definitions", "extra"}
    assert [step["step_id"] for step in row["steps"]] == list(range(1, len(row["steps"]) + 1))
    for step in row["steps"]:
        assert step.keys() <= known | agent_only
        assert step["source"] == "agent" or not step.keys() & agent_only
        called = {call["tool_call_id"] for call in step.get("tool_calls", [])}
        for result in step.get("observation", {}).get("results", []):
            assert result.get("source_call_id", None) in called | {None}
            assert result.keys() <= {"source_call_id", "content", "subagent_trajectory_ref", "extra"}


# ------------------------------------------------------------------ the command


def test_the_command_converts_both_ways_and_counts_what_is_lost(tmp_path: Path) -> None:
    source, rows, back = tmp_path / "t.jsonl", tmp_path / "rows.jsonl", tmp_path / "back.jsonl.zst"
    source.write_bytes(encode(linear()) + b"\n" + encode(replace(branched(), id="t2")) + b"\n")
    done = kat("kat-rollout", "convert", "--to", "atif", source, "-o", rows, "--log-format", "json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (summary["in"], summary["out"], summary["lost_turns"]) == (2, 2, 4)
    done = kat("kat-rollout", "convert", "--from", "atif", rows, "-o", back)
    assert done.returncode == 0, done.stderr
    done = kat("kat-rollout", "convert", "--from", "atif", "--to", "openai", stdin=rows.read_bytes())
    assert len(json.loads(done.stdout.splitlines()[0])["messages"]) == 8
    done = kat("kat-rollout", "convert", "--to", "swe-bench", back)
    assert [json.loads(line)["instance_id"] for line in done.stdout.splitlines()] == ["repo__1", "repo__1"]


def test_the_command_reads_documents_and_keeps_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.traj.json").write_text(json.dumps(MINI_SWE, indent=2))
    (tmp_path / "one" / "b.traj.json").write_text(json.dumps({"messages": []}))
    dead = tmp_path / "dead.jsonl"
    done = kat("kat-rollout", "convert", "--from", "mini-swe-agent", tmp_path / "one", "--dead-letter", dead)
    assert done.returncode == 3
    assert json.loads(done.stdout)["task_id"] == "repo__1"
    assert "has no info" in dead.read_text()
    (tmp_path / "preds.json").write_text(json.dumps({"repo__1": SWE_BENCH}, indent=1))
    done = kat("kat-rollout", "convert", "--from", "swe-bench", tmp_path / "preds.json")
    assert json.loads(done.stdout)["patch"] == SWE_BENCH["model_patch"]
    (tmp_path / "list.json").write_text(json.dumps([OPENAI, OPENAI]))
    done = kat("kat-rollout", "convert", "--from", "openai", "--to", "openai", tmp_path / "list.json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [OPENAI, OPENAI]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "say which format"),
        (["--to", "atif", "-o", "x.parquet"], "records of KAT only"),
        (["--to", "atif", "-o", "x.jsonl", "--resume"], "--resume needs"),
        (["--to", "nothing"], "nothing"),
    ],
)
def test_a_wrong_call_is_one_line(args: list[str], why: str, tmp_path: Path) -> None:
    done = subprocess.run(["kat-rollout", "convert", *args], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and why in done.stderr, done.stderr
