"""Which scaffolds there are, whether they are installed, and whether what is installed works.

In: a user's own table. Out: rows of text for people. An agent is asked for its version, and then given a task in an
empty repository that a script answers for the model: both inside a sandbox without a network, as in a rollout.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from katcore.errors import KatError, UsageError
from katcore.records import Environment, Task, TaskSource, Trajectory, Verification
from katcore.rollout.attempts import Setup
from katcore.rollout.options import AgentOptions, CapOptions, RolloutOptions, TimeOptions
from katcore.rollout.roller import rollouts
from katcore.sandbox import PYTHON, SCAFFOLD, Mount, Result, Spec, sandbox
from katcore.scaffold import SCAFFOLDS, names, scaffold, script_of
from katcore.scaffold.command_agent import CommandAgent
from katcore.scaffold.install import ensure, fetched_later, installed_version, place, present

VERSION_S = 60.0
ANSWER_S = 180.0
TURNS = 3
"""Calls that an agent may make at a check: some ask once more after an answer that calls no tool."""
ANSWER = "The task is done."


def selected(wanted: Sequence[str], table: str) -> list[str]:
    """The names to install; `all` is every one that can be. UsageError for a name that is none."""
    known = {name: agent for name in names(table) if (agent := _agent(name, table)) is not None}
    chosen = [name for name, agent in known.items() if agent.row.installed] if "all" in wanted else list(wanted)
    for name in chosen:
        if name not in known:
            raise UsageError(f"{name!r} is no scaffold that is installed", hint=f"one of: {', '.join(known)}")
    return chosen


def install_one(name: str, table: str) -> None:
    """Install the scaffold of this name, and the interpreters that it needs."""
    agent = _agent(name, table)
    assert agent is not None
    ensure(name, agent.row)


def status(table: str, *, check: bool = False) -> Iterator[tuple[str, str, str, str]]:
    """For each scaffold (name, pinned version, API or what answers, state).

    The state is `built in`, `installed`, `not installed`, or what is wrong.
    """
    for name in names(table):
        agent = _agent(name, table)
        if agent is None:
            yield name, scaffold(name).version, script_of(name) or "openai-chat", "built in"
        else:
            yield name, agent.row.version or "-", agent.row.dialect, _state(name, agent, table, check)


def _agent(name: str, table: str) -> CommandAgent | None:
    if name in SCAFFOLDS:
        return None
    made = scaffold(name, table)
    assert isinstance(made, CommandAgent)
    return made


def _state(name: str, agent: CommandAgent, table: str, check: bool) -> str:
    row = agent.row
    if row.installed or row.node or row.python:
        if not present(row):
            return "not installed"
        found = installed_version(row, place(row)) if row.installed else row.version
        if not found.startswith(row.version):
            return f"broken: version {found or 'unknown'}"
    state = "installed" if row.installed else "found in the sandbox"
    if not check:
        return state
    try:
        why = _version_wrong(agent) if row.version and row.installed else ""
        why = why or _answer_wrong(name, table)
    except KatError as error:
        why = str(error)
    if not why:
        return f"{state}, works"
    later = fetched_later(row, place(row)) if row.installed else ""
    return f"broken: {why}" + (f"; {later}" if later else "")


def _version_wrong(agent: CommandAgent) -> str:
    """What is wrong with the version that an installed agent's program prints in a sandbox; empty when it is right."""
    done = _asked(agent)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    end = " ".join(said.split())[-120:]
    if done.code != 0:
        return f"asked for its version it ends with {done.code}: {end!r}"
    return "" if agent.row.version in said else f"asked for its version it says {end!r}"


def _asked(agent: CommandAgent) -> Result:
    mounts = tuple(Mount(path, f"{SCAFFOLD}/{file}") for file, path in agent.files().items())
    box = sandbox().create(Spec(f"version-{agent.name}", mounts=mounts))
    try:
        return box.exec(agent.version_line(PYTHON, SCAFFOLD), cwd="/tmp", stdin=b"", timeout_s=VERSION_S)
    finally:
        box.close()


def _answer_wrong(name: str, table: str) -> str:
    """What is wrong with how an agent works on a task; empty when it asked the model, was answered, and ended."""
    with tempfile.TemporaryDirectory(prefix="kat-check-") as folder:
        script = Path(folder, "check.jsonl")
        script.write_text(json.dumps({"messages": [{"content": ANSWER}]}) + "\n", encoding="utf-8")
        options = RolloutOptions(
            agent=AgentOptions(scaffold=name, engine=f"scripted:{script}"),
            caps=CapOptions(max_turns=TURNS, context=100_000),
            times=TimeOptions(timeout=ANSWER_S),
        )
        (made,) = rollouts([_task()], Setup(options, table=table))
    return _wrong(made)


def _wrong(made: Trajectory) -> str:
    if not made.calls:
        return made.exit.detail
    ended = f"{made.exit.kind}{f': {made.exit.detail}' if made.exit.detail else ''}"
    return "" if made.exit.kind in ("submitted", "turns") else f"given a task it ended with {ended}"


def _task() -> Task:
    buffer, text = io.BytesIO(), b"# Nothing\n"
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("README.md")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    url = "data:application/gzip;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Task(
        instance_id="check",
        repo="check",
        base_commit="0" * 40,
        created_at="2000-01-01T00:00:00Z",
        problem_statement="Say that you are done; there is nothing else to do.",
        source=TaskSource(kind="inline", url=url),
        environment=Environment(),
        verification=Verification(),
    )
