"""Any agent that is a command line, from its row of the table: how it is mounted, started and read.

In: a row and a job. Out: what to mount and one process for the box, `in_box/agent_runner.py`, which starts the agent's
own program there. Nothing here knows any agent: what they need is in the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from katcore.records import Exit, Outcome
from katcore.scaffold import Job, Launch
from katcore.scaffold.install import ensure
from katcore.scaffold.outcomes import rules_of
from katcore.scaffold.table import Agent, arch, cpu, fill

IN_BOX = Path(__file__).parent / "in_box"
RUNNER = "agent_runner.py"
PORT = 8484
"""The port of the forwarder in a box, which has a loopback of its own, so that it is always free."""
QUIET = {"PAGER": "cat", "GIT_PAGER": "cat", "MANPAGER": "cat", "TERM": "dumb", "NO_COLOR": "1", "CI": "1"}
COMPACT_PART = 0.8
"""The share of the context at which an agent that can be told so should shorten its history."""

LONGEST_ARGUMENT = (128 << 10) - 1
"""The longest argument or variable, in bytes, that Linux takes (its MAX_ARG_STRLEN, with the byte that ends it)."""
TASK_FILE = "task.md"
IN_A_FILE = "Your task is in the file {task_file}, which is long. Read all of it, then do what it says."
"""What stands in place of a task that is too long for the command line of an agent."""


class CommandAgent:
    """The scaffold of one row of the table. Creating it installs nothing; `files` does."""

    def __init__(self, name: str, row: Agent) -> None:
        self.name, self.row = name, row
        self.version = row.version or "0"
        self.ignore = row.ignore
        self._rules = rules_of(row.outcomes)

    def files(self) -> Mapping[str, Path]:
        """The runner, the installed agent, and the interpreters that the row names."""
        return {RUNNER: IN_BOX / RUNNER, **ensure(self.name, self.row)}

    def launch(self, job: Job) -> Launch:
        """The runner's process; all settings go to its standard input: the process table shows no key and no task."""
        row, values = self.row, self._values(job)
        lines = (*row.first, row.command + row.args)
        env = {**QUIET, **row.env}
        texts = [word for line in lines for word in line] + list(env.values())
        if "\0" in job.problem_statement or any(_length(fill(text, values)) > LONGEST_ARGUMENT for text in texts):
            shorter = values | {"task": fill(IN_A_FILE, values)}
        else:
            shorter = values
        written = {fill(path, values): fill(text, values) for path, text in row.files.items()}
        if shorter is not values or any("{task_file}" in text for text in (*texts, *row.files.values())):
            written[TASK_FILE] = job.problem_statement
        config = {
            "socket": job.socket,
            "port": PORT,
            "home": job.home,
            "cwd": job.workdir,
            "files": written,
            "env": {name: fill(text, shorter) for name, text in env.items()},
            "lines": [[fill(word, shorter) for word in line] for line in lines],
        }
        return Launch([job.python, "-I", f"{job.folder}/{RUNNER}"], json.dumps(config).encode())

    def version_line(self, python: str, folder: str) -> list[str]:
        """The command line, in a box, that asks the program for its version."""
        places = self._places(python, folder)
        return [fill(word, places) for word in (*self.row.command, *self.row.asks_version)]

    def _places(self, python: str, folder: str) -> dict[str, str]:
        """What words stand for wherever the agent is started."""
        return {
            "agent": f"{folder}/agent",
            "node": f"{folder}/node/bin/node",
            "python": f"{folder}/python/bin/python3" if self.row.python else python,
            "arch": arch(),
            "cpu": cpu(),
            "version": self.row.version,
        }

    def _values(self, job: Job) -> dict[str, str]:
        return self._places(job.python, job.folder) | {
            "task": job.problem_statement,
            "task_file": f"{job.home}/{TASK_FILE}",
            # agents put it into files of several syntaxes
            "model": re.sub(r"[^A-Za-z0-9._-]", "-", job.model) or "model",
            "key": job.key,
            "url": f"http://127.0.0.1:{PORT}",
            "port": str(PORT),
            "home": job.home,
            "workdir": job.workdir,
            "context": str(job.context),
            "completion": str(job.completion),
            "compact_at": str(int(job.context * COMPACT_PART)),
        }

    def outcome(self, result: str) -> Outcome | None:
        """The outcome of the row's first pattern that is found in the result; None where none is."""
        return self._rules(result)

    def exit(self, code: int, stdout: bytes, stderr: bytes) -> Exit:
        """The exit that the runner's last line states; without such a line the runner died."""
        try:
            said = json.loads(stdout) if code == 0 else None
        except ValueError:
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("code"), int):
            tail = stderr.decode("utf-8", "replace").strip()[-500:]
            return Exit(kind="agent_error", detail=f"exit status {code}: {tail}")
        output = f"{said.get('stdout', '')}\n{said.get('stderr', '')}"
        if said["code"] != 0:
            return Exit(kind="agent_error", detail=f"exit status {said['code']}: {_end(output)}")
        if self.row.failed and (found := re.search(self.row.failed, output)):
            return Exit(kind="agent_error", detail=found[0][:500])
        return Exit()


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _end(output: str) -> str:
    return " ".join(output.split())[-500:]
