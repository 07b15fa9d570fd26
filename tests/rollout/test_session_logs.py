"""The logs that the real agents leave, read back: each call with the prompt that the gateway recorded for it.

`make test-agents` runs these. The agent works on the scenario in a box, its logs come out with its patch, and the
trajectory that is made of them is held against the one that the gateway made of the calls themselves.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path

import pytest

from katcore.environment.patch import apply_here
from katcore.records import Json, Node, Trajectory
from katcore.scaffold.table import built_in
from katcore.trajectory.paths import Paths
from katcore.trajectory.sessions.records import session_items
from tests.support.agent_scenarios import play

pytestmark = [pytest.mark.slow, pytest.mark.agents]
LOGS = {"claude-code": ".claude/projects", "codex": ".codex/sessions", "cline": ".cline/data/sessions"}
COPY = '"$0" "$@"; code=$?; mkdir {workdir}/kept; cp -r {home}/FOLDER {workdir}/kept; exit $code'
LONG = 2000
"""Results with more characters are shortened in Cline's prompts, and not in its logs."""


def left(name: str, folder: Path) -> tuple[Trajectory, Path]:
    """The gateway's trajectory of a run, and the folder of the logs that the agent left."""
    copy = ["/bin/sh", "-c", COPY.replace("FOLDER", LOGS[name]), *built_in()[name].program]
    made = play(name, table=json.dumps({name: {"program": copy}})).trajectory
    assert made.exit.kind == "submitted", made.exit
    folder.mkdir()
    apply_here(folder, made.patch or "")
    return made, folder / "kept"


def told(made: Trajectory) -> list[list[tuple[str, str]]]:
    """Each call's messages: role and what they say, white space at the ends and the heads of conversations left out."""
    paths = [Paths(made).path(call.node) for call in made.calls if call.error is None]
    return [[_said(node) for node in path if node.parent is not None or node.role == "user"] for path in paths]


def _said(node: Node) -> tuple[str, str]:
    message: Json = node.message or {}
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "\n\n".join(part["text"] for part in content)
    calls = [[c["function"]["name"], json.loads(c["function"]["arguments"])] for c in message.get("tool_calls") or []]
    return node.role, json.dumps([text.strip()[: 500 if len(text) > LONG else None], calls])


@pytest.mark.parametrize("name", LOGS)
def test_the_log_tells_what_the_gateway_saw(name: str, tmp_path: Path, installations: Path) -> None:
    seen, folder = left(name, tmp_path / "left")
    counts: dict[str, int] = {}
    (item,) = session_items(name, [folder], lambda what, n: counts.update({what: n}))
    made = item.payload
    assert isinstance(made, Trajectory), made
    assert made.scaffold == seen.scaffold and made.model
    truth, read = told(seen), told(made)
    for path in read:
        near = min(truth, key=lambda other: sum(one != two for one, two in zip_longest(path, other)))
        assert path == near
    summaries = sum(1 for path in truth if "SUMMARY-MARK" in path[-1][1])
    assert len(read) == len(truth) - summaries, "all but the call that wrote the summary"
    boundaries = {node.boundary for node in made.nodes}
    assert {"compaction", "subagent"} <= boundaries
    judged = [call.outcome for node in made.nodes for call in node.tool_calls]
    assert "ok" in judged and "nonzero_exit" in judged
    assert not [what for what in counts if what.startswith("removed_")], "nothing in it is a person's"
