"""Which scaffolds there are, whether they are installed, and whether what is installed says the pinned version.

In: a user's own table. Out: rows of text for people. A version is asked for inside a sandbox without a network: no
agent's code runs outside one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from katcore.errors import KatError, UsageError
from katcore.sandbox import PYTHON, SCAFFOLD, Mount, Spec, sandbox
from katcore.scaffold import SCAFFOLDS, names, scaffold, script_of
from katcore.scaffold.command_agent import CommandAgent
from katcore.scaffold.install import ensure, ensure_node, installed_version, node_place, place

VERSION_S = 60.0
_VERSION = re.compile(r"\d+(?:\.\d+)+\S*")


def selected(wanted: Sequence[str], table: str) -> list[str]:
    """The names to install; `all` is every one that can be. UsageError for a name that is none."""
    known = {name: agent for name in names(table) if (agent := _agent(name, table)) is not None}
    chosen = [name for name, agent in known.items() if agent.row.installed] if "all" in wanted else list(wanted)
    for name in chosen:
        if name not in known:
            raise UsageError(f"{name!r} is no scaffold that is installed", hint=f"one of: {', '.join(known)}")
    return chosen


def install_one(name: str, table: str) -> None:
    """Install the scaffold of this name, and node where it needs one."""
    agent = _agent(name, table)
    assert agent is not None
    if agent.row.installed:
        ensure(name, agent.row)
    if agent.row.node:
        ensure_node(agent.row.node)


def status(table: str, *, check: bool = False) -> Iterator[tuple[str, str, str, str]]:
    """For each scaffold (name, pinned version, API or what answers, state).

    The state is `built in`, `installed`, `not installed`, or what is wrong.
    """
    for name in names(table):
        agent = _agent(name, table)
        if agent is None:
            yield name, scaffold(name).version, script_of(name) or "openai-chat", "built in"
        else:
            yield name, agent.row.version or "-", agent.row.dialect, _state(name, agent, check)


def _agent(name: str, table: str) -> CommandAgent | None:
    if name in SCAFFOLDS:
        return None
    made = scaffold(name, table)
    assert isinstance(made, CommandAgent)
    return made


def _state(name: str, agent: CommandAgent, check: bool) -> str:
    row = agent.row
    if not row.installed:
        return "found in the sandbox"
    folder = place(name, row)
    if not folder.is_dir() or (row.node and not node_place(row.node).is_dir()):
        return "not installed"
    if not (found := installed_version(row, folder)).startswith(row.version):
        return f"broken: version {found or 'unknown'}"
    return _answer(name, agent) if check else "installed"


def _answer(name: str, agent: CommandAgent) -> str:
    """The state of an installed agent, from the version that its program prints in a sandbox."""
    mounts = tuple(Mount(path, f"{SCAFFOLD}/{file}") for file, path in agent.files().items())
    box = sandbox().create(Spec(f"version-{name}", mounts=mounts))
    try:
        done = box.exec(agent.version_line(PYTHON, SCAFFOLD), cwd="/tmp", stdin=b"", timeout_s=VERSION_S)
    except KatError as error:
        return f"broken: {error}"
    finally:
        box.close()
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    if agent.row.version in _VERSION.findall(said) or agent.row.version in said:
        return "installed, starts"
    return f"broken: asked for its version it says {' '.join(said.split())[-120:]!r}"
