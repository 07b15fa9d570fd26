"""The table of agents: what KAT ships, what users add, what is refused, how results and ends are read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from katcore.errors import UsageError
from katcore.scaffold import Job, check, names, scaffold
from katcore.scaffold.command_agent import CommandAgent
from katcore.scaffold.table import Agent, built_in, fill, rows

SHIPPED = {
    "claude-code", "codex", "opencode", "kilo-code", "cline", "openclaw", "qwen-code", "mini-swe-agent", "gemini-cli",
    "pi", "continue", "copilot", "gptme", "nanocoder", "grok-cli", "aider", "kimi-cli", "openhands",
}  # fmt: skip
JOB = Job(
    "Fix {key} and {nothing}.", "secret", "org/a model", "/py", "/opt/scaffold", "/sock", "/testbed",
    max_turns=50, command_timeout_s=120.0, output_chars=6000, context=200_000, completion=4096,
)  # fmt: skip


def launched(name: str, table: str = "") -> dict[str, Any]:
    config: dict[str, Any] = json.loads(scaffold(name, table).launch(JOB).stdin)
    return config


def test_all_are_there_and_pinned() -> None:
    assert set(built_in()) == SHIPPED
    for row in built_in().values():
        assert row.version and row.installed
        first = (row.npm or row.pip)[0]
        assert "{version}" in first, "the pin stands in one place"


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_name_in_braces_is_known_and_filled(name: str) -> None:
    config = launched(name)
    words = [word for line in config["lines"] for word in line] + list(config["env"].values())
    for text in words:
        if "Fix " not in text:
            assert not re.search(r"\{[a-z_]+\}", text), text
    told = [*words, config["files"].get("task.md", "")]
    assert any("Fix {key} and {nothing}." in word for word in told), "the task goes in as it is written"
    for path, text in config["files"].items():
        if path == "task.md":
            continue
        assert "{key}" not in text and "{model}" not in text
        if path.endswith(".json"):
            json.loads(text)


@pytest.mark.parametrize("name", sorted(SHIPPED))
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
        ({"args": [], "script": "a"}, "console script of what pip installs"),
        ({"args": [], "program": ["a"], "python": "3.12.1"}, "python is a version such as"),
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
        ("pi", "hi\n\n\nCommand exited with code 3", "nonzero_exit"),
        ("pi", "Command timed out after 1 seconds", "timeout"),
        ("pi", "Tool nothere not found", "unknown_tool"),
        ("pi", 'Validation failed for tool "bash":\n  - command: must have', "invalid_arguments"),
        ("pi", "ENOENT: no such file or directory, access '/testbed/no.txt'", "tool_error"),
        ("pi", "Could not find the exact text in calc.py. The old text must match", "tool_error"),
        ("pi", "Successfully replaced 1 block(s) in calc.py.", "ok"),
        ("continue", "Tool nothere not found", "unknown_tool"),
        ("continue", 'Required parameter "command" missing for tool "Bash"', "invalid_arguments"),
        ("continue", "Error executing tool Read: File does not exist: no.txt", "tool_error"),
        ("continue", 'Edit at index 0: string not found in file: "zzz"', "tool_error"),
        ("continue", "\n\n[Command timed out after 1 seconds of no output]", "timeout"),
        ("copilot", "hi\n<shellId: 0 completed with exit code 3>", "nonzero_exit"),
        ("copilot", "fine\n<shellId: 1 completed with exit code 0>", "ok"),
        ("copilot", "Tool 'nothere' does not exist. Available tools", "unknown_tool"),
        ("copilot", 'Invalid input: "command": Required', "invalid_arguments"),
        ("copilot", "No match found: old_str not found in /testbed/calc.py", "tool_error"),
        ("gptme", "Ran command: `false`\n\nNo output\nReturn code: 1\n", "nonzero_exit"),
        ("gptme", "Ran allowlisted command: `echo fine`\n\n`fine`\n", "ok"),
        ("nanocoder", "EXIT_CODE: 3\nhi\n", "nonzero_exit"),
        ("nanocoder", "EXIT_CODE: 0\nfine\n", "ok"),
        ("nanocoder", "Model tried to call unavailable tool 'nothere'.", "unknown_tool"),
        ("nanocoder", "⚒ Validation failed: Command cannot be empty", "invalid_arguments"),
        ("nanocoder", '⚒ Validation failed: File "no.txt" does not exist', "tool_error"),
        ("grok-cli", "Command failed: Command failed: echo hi; exit 3\n", "nonzero_exit"),
        ("grok-cli", "Command failed: Cannot read properties of undefined", "tool_error"),
        ("grok-cli", "Unknown tool: nothere", "unknown_tool"),
        ("grok-cli", "fine", "ok"),
        ("kimi-cli", "<system>ERROR: Command failed with exit code: 3.</system>hi\n", "nonzero_exit"),
        ("kimi-cli", "<system>ERROR: Command killed by timeout (1s)</system>", "timeout"),
        ("kimi-cli", "<system>ERROR: Tool `nothere` not found</system>", "unknown_tool"),
        ("kimi-cli", "<system>ERROR: Error validating JSON arguments: 1 validation", "invalid_arguments"),
        ("kimi-cli", "<system>ERROR: No replacements were made.</system>", "tool_error"),
        ("kimi-cli", "<system>Command executed successfully.</system>fine\n", "ok"),
        ("openhands", "hi\n[Python interpreter: /x]\n[Command finished with exit code 3]", "nonzero_exit"),
        ("openhands", "fine\n[Command finished with exit code 0]", "ok"),
        ("openhands", "Error validating tool 'terminal': 1 validation error", "invalid_arguments"),
        ("openhands", "[An error occurred during execution.]\nNo replacement was performed", "tool_error"),
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


def test_a_task_that_no_argument_can_hold_is_a_file() -> None:
    long = "Fix {key} é" * 20_000
    config = json.loads(scaffold("codex").launch(replace(JOB, problem_statement=long)).stdin)
    assert config["files"]["task.md"] == long
    assert "file /tmp/home/task.md" in config["lines"][-1][-1] and max(map(len, config["lines"][-1])) < 1000
    config = json.loads(scaffold("codex").launch(replace(JOB, problem_statement="no\0no")).stdin)
    assert config["files"]["task.md"] == "no\0no" and "task.md" not in launched("codex")["files"]
    just = "x" * ((128 << 10) - 1)
    config = json.loads(scaffold("codex").launch(replace(JOB, problem_statement=just)).stdin)
    assert config["lines"][-1][-1] == just


def test_a_row_that_takes_files_is_given_the_task_as_one() -> None:
    config = launched("aider")
    assert config["files"]["task.md"] == JOB.problem_statement and "/tmp/home/task.md" in config["lines"][-1]


def test_a_task_that_speaks_of_a_port_goes_in_as_it_is() -> None:
    config = json.loads(scaffold("codex").launch(replace(JOB, problem_statement="Print {port}.")).stdin)
    assert config["lines"][-1][-1] == "Print {port}."
    assert "http://127.0.0.1:8484/v1" in config["files"][".codex/config.toml"] and config["port"] == 8484


def test_a_row_names_its_python() -> None:
    assert launched("kimi-cli")["lines"][-1][:3] == [
        "/opt/scaffold/python/bin/python3", "-I", "/opt/scaffold/agent/kat-start/kimi",
    ]  # fmt: skip
    assert launched("aider")["lines"][-1][:2] == ["/py", "-I"]
