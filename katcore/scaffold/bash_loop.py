"""bash-loop: the white-box scaffold. One tool, `bash`; an answer without a tool call ends the run.

Here: how it is started and how its results are read. The loop itself is `in_box/bash_loop_agent.py`, a program of the
standard library alone that runs inside the box. Prompts are data: `bash_loop_system.txt`, `bash_loop_tools.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from katcore.records import Exit, Outcome
from katcore.scaffold import Job, Launch

HERE = Path(__file__).parent
IN_BOX = HERE / "in_box"
AGENT = "bash_loop_agent.py"
QUIET = {"PAGER": "cat", "GIT_PAGER": "cat", "MANPAGER": "cat", "TERM": "dumb", "PIP_PROGRESS_BAR": "off"}
HEAD = re.compile(r"\[(?:exit (\d+)|(timeout|invalid_arguments|unknown_tool|tool_error))\b")


class BashLoop:
    """KAT's own scaffold with one tool, bash."""

    version = "1"
    ignore = ()

    def files(self) -> Mapping[str, Path]:
        """The agent's program, by its name in the box."""
        return {AGENT: IN_BOX / AGENT}

    def launch(self, job: Job) -> Launch:
        """The agent's process; all settings go to its standard input: no file or environment holds the key."""
        system = (HERE / "bash_loop_system.txt").read_text("utf-8").strip().format(workdir=job.workdir)
        config = {
            "socket": job.socket,
            "key": job.key,
            "model": job.model,
            "tools": json.loads((HERE / "bash_loop_tools.json").read_bytes()),
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": job.problem_statement},
            ],
            "workdir": job.workdir,
            "max_turns": job.max_turns,
            "command_timeout_s": job.command_timeout_s,
            "output_chars": job.output_chars,
        }
        return Launch([job.python, "-I", f"{job.folder}/{AGENT}"], json.dumps(config).encode(), QUIET)

    def outcome(self, result: str) -> Outcome:
        """The outcome by the head of a tool result: `[exit N]`, `[timeout …]` or `[<kind of error>] …`."""
        head = HEAD.match(result)
        if head is None:
            return "tool_error"
        if head[1] is not None:
            return "ok" if head[1] == "0" else "nonzero_exit"
        named: dict[str, Outcome] = {
            "timeout": "timeout",
            "invalid_arguments": "invalid_arguments",
            "unknown_tool": "unknown_tool",
            "tool_error": "tool_error",
        }
        return named[head[2]]

    def exit(self, code: int, stdout: bytes, stderr: bytes) -> Exit:
        """The exit that the program's last line states; without such a line the program died."""
        lines = stdout.decode("utf-8", "replace").strip().splitlines()
        try:
            said = json.loads(lines[-1]) if code == 0 and lines else None
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("exit") not in ("submitted", "turns", "agent_error"):
            tail = stderr.decode("utf-8", "replace").strip()[-500:]
            return Exit(kind="agent_error", detail=f"exit status {code}: {tail}")
        return Exit(kind=said["exit"], detail=str(said.get("detail", "")))
