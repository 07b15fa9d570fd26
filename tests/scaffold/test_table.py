"""The table of agents: what KAT ships, what users add, what is refused, how results and ends are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.errors import UsageError
from katcore.scaffold import Job, check, names, scaffold
from katcore.scaffold.command_agent import CommandAgent
from katcore.scaffold.table import Agent, built_in, fill, rows

AGENTS = {
    "claude-code", "codex", "opencode", "kilo-code", "cline", "openclaw", "qwen-code", "mini-swe-agent", "gemini-cli",
}  # fmt: skip
JOB = Job(
    "Fix {key} and {nothing}.", "secret", "org/a model", "/py", "/opt/scaffold", "/sock", "/testbed",
    max_turns=50, command_timeout_s=120.0, output_chars=6000, context=200_000, completion=4096,
)  # fmt: skip


def launched(name: str, table: str = "") -> dict[str, Any]:
    config: dict[str, Any] = json.loads(scaffold(name, table).launch(JOB).stdin)
    return config


def test_all_are_there_and_pinned() -> None:
    assert set(built_in()) == AGENTS
    for row in built_in().values():
        assert row.version and row.installed
        first = (row.npm or row.pip)[0]
        assert "{version}" in first, "the pin stands in one place"


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_name_in_braces_is_known_and_filled(name: str) -> None:
    config = launched(name)
    words = [word for line in config["lines"] for word in line] + list(config["env"].values())
    for text in words:
        if "Fix " not in text:
            assert "{" not in text.replace("{port}", ""), text
    assert any("Fix {key} and {nothing}." in word for word in words), "the task goes in as it is written"
    for path, text in config["files"].items():
        assert "{key}" not in text and "{model}" not in text
        if path.endswith(".json"):
            json.loads(text)


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_the_key_is_not_on_a_command_line(name: str) -> None:
    config = launched(name)
    assert not any("secret" in word for line in config["lines"] for word in line)
    assert any("secret" in text for text in (*config["env"].values(), *config["files"].values()))


def test_the_models_name_is_safe_in_every_syntax() -> None:
    assert 'model = "org-a-model"' in launched("codex")["files"][".codex/config.toml"]


def test_filling_is_done_once_and_leaves_other_braces() -> None:
    assert fill("{a} {b} {c} {A}", {"a": "{b}", "b": "2"}) == "{b} 2 {c} {A}"


def test_users_add_rows_and_change_built_in_ones() -> None:
    table = json.dumps({"mine": {"program": ["agent"], "args": ["{task}"]}, "codex": {"version": "9.9.9"}})
    assert "mine" in names(table) and "mine" not in names()
    assert launched("mine", table)["lines"] == [["agent", JOB.problem_statement]]
    assert rows(table)["codex"].version == "9.9.9" and rows(table)["codex"].dialect == "openai-responses"
    assert list(scaffold("mine", table).files()) == ["agent_runner.py"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"args": []}, "program"),
        ({"program": [], "args": []}, "program is empty"),
        ({"program": ["a"], "args": [], "colour": "red"}, "colour"),
        ({"program": ["a"], "args": [], "npm": ["a@1"]}, "no version is pinned"),
        ({"program": ["{node}"], "args": []}, "no version of node"),
        ({"program": ["a"], "args": [], "outcomes": {"(": "ok"}}, "is no pattern"),
        ({"program": ["a"], "args": [], "outcomes": {"x": "fine"}}, "fine"),
        ({"program": ["a"], "args": [], "dialect": "klingon"}, "klingon"),
        ({"program": ["a"], "args": [], "files": {"../up": "x"}}, "../up"),
        ([], "not a table"),
    ],
)
def test_a_bad_row_is_one_clear_line(row: Any, says: str) -> None:
    with pytest.raises(UsageError) as error:
        rows(json.dumps({"bad": row}))
    assert says in str(error.value) and "bad" in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_leaves_the_cache_is_refused() -> None:
    with pytest.raises(UsageError):
        rows(json.dumps({"../x": {"program": ["a"], "args": []}}))


def test_an_unknown_scaffold_names_those_that_are() -> None:
    with pytest.raises(UsageError) as error:
        check("claude")
    assert "claude-code" in error.value.hint


@pytest.mark.parametrize(
    ("name", "result", "outcome"),
    [
        ("claude-code", "hello", "ok"),
        ("claude-code", "Exit code 2\nno", "nonzero_exit"),
        ("claude-code", "<tool_use_error>InputValidationError: Bash failed</tool_use_error>", "invalid_arguments"),
        ("claude-code", "<tool_use_error>Error: No such tool available: X</tool_use_error>", "unknown_tool"),
        ("codex", "Chunk ID: ab12cd\nWall time: 0.1 seconds\nProcess exited with code 0\nOutput:\n", "ok"),
        ("codex", "Chunk ID: ab12cd\nWall time: 0.1 seconds\nProcess exited with code 10\nOutput:\n", "nonzero_exit"),
        ("codex", "unsupported call: x", "unknown_tool"),
        ("mini-swe-agent", '{\n  "returncode": 0,\n  "output": ""\n}', "ok"),
        ("mini-swe-agent", '{\n  "returncode": 1,\n  "output": "\\"returncode\\": 0"\n}', "nonzero_exit"),
        ("qwen-code", "Command: x\nError: (none)\nExit Code: 3\nSignal: 0\n", "nonzero_exit"),
        ("qwen-code", "Command: x\nError: (none)\nExit Code: 0\nSignal: 0\n", "ok"),
        ("openclaw", "(no output)\n\n(Command exited with code 3)", "nonzero_exit"),
    ],
)
def test_results_are_read(name: str, result: str, outcome: str) -> None:
    assert scaffold(name).outcome(result) == outcome


def ended(row: Agent, **said: Any) -> tuple[str, str]:
    out = json.dumps({"code": 0, "stdout": "", "stderr": "", **said}).encode()
    made = CommandAgent("a", row).exit(0, out, b"")
    return made.kind, made.detail


def test_ends_are_read() -> None:
    row = Agent(program=("a",), args=(), failed=r"gave up: \w+")
    assert ended(row) == ("submitted", "")
    assert ended(row, code=2, stderr="no\nway") == ("agent_error", "exit status 2: no way")
    assert ended(row, stdout="… gave up: tired …") == ("agent_error", "gave up: tired")
    assert CommandAgent("a", row).exit(137, b"", b"Killed").kind == "agent_error"
    assert CommandAgent("a", row).exit(0, b"nonsense", b"").kind == "agent_error"
