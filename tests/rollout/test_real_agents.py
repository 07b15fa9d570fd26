"""Every agent's real binary on a real task, in a real box, through the gateway: tools, sub-agent, shortened history.

The model alone is played. Four agents run in CI; `make test-agents` runs all and writes the table of
`benchmarks/results/agents.md` where KAT_AGENTS_TABLE says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.records import Node
from katcore.scaffold.table import built_in
from tests.support.agent_scenarios import HANDS, Played, play, shared

pytestmark = pytest.mark.slow
IN_CI = ("claude-code", "codex", "opencode", "mini-swe-agent")
AGENTS = [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.agents]) for name in HANDS]
COLUMNS = (
    "agent", "version", "API", "calls", "branches", "boundaries", "captured", "delivered", "sub-agent", "compaction",
    "POR of 8", "seconds",
)  # fmt: skip
HEAD, RULE = f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"
ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks/results/agents.md"
PAGE = ("agent", "version", "API", "sub-agent", "compaction", "captured", "delivered", "POR of 8")
"""The columns that docs/agents.md shows."""
TABLE = os.environ.get("KAT_AGENTS_TABLE", "")
"""Where the table goes; with it the samples are drawn whose overlap it tells."""


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    if TABLE:
        Path(TABLE).write_text("\n".join(["# Real agents on the scenario", "", *NOTES, "", HEAD, RULE, *rows]) + "\n")


@pytest.fixture
def run(request: pytest.FixtureRequest, installations: Path, table: list[str]) -> Played:
    """The agent's run."""
    name = request.param
    made = play(name)
    if TABLE:
        table.append(row(name, made, shared(name)))
    return made


NOTES = [
    "`make test-agents` writes this. Each agent's real binary, as pinned, in a bubblewrap box without a network, its",
    "requests forwarded to the gateway; the model is played: it writes a file, lets a sub-agent write another, reads",
    "until its history must be shortened, and ends. Captured: tokens that the engine sampled; delivered: those that",
    "the trajectory holds as sampled. Branches: lineages beside `main`; boundaries: what the gateway called them.",
    "POR: the prefix overlap of eight samples of a small task that part with the model's first answer.",
]


def page_table(text: str) -> str:
    """The part of the table that docs/agents.md shows."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    shown = [COLUMNS.index(name) for name in PAGE]
    lines = ["| " + " | ".join(row[at].strip() for at in shown) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(PAGE) + "|", *lines[1:]])


def delivered(nodes: list[Node]) -> int:
    return sum(b - a for node in nodes for a, b in node.sampled)


def row(name: str, run: Played, overlap: float) -> str:
    hands, made = HANDS[name], run.trajectory
    lineages = {node.lineage for node in made.nodes} - {"main"}
    boundaries = sorted({node.boundary for node in made.nodes} - {"none"})
    captured = sum(map(len, run.engine.answers))
    cells = [
        name, made.scaffold.version, built_in()[name].dialect, str(len(made.calls)), str(len(lineages)),
        ", ".join(boundaries) or "-", str(captured), str(delivered(made.nodes)),
        f"n/a: {hands.no_spawn}" if hands.spawn is None else "yes" if "subagent" in run.part.lanes else "no",
        f"n/a: {hands.no_shortens}" if not hands.shortens else "yes" if run.part.shortened else "no",
        f"{overlap:.2f}", f"{made.timing.agent:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("run", AGENTS, indirect=True)
def test_the_agent_completes_the_scenario(run: Played) -> None:
    it_works_on_the_task_and_ends(run)
    every_sampled_token_is_delivered_and_every_path_is_what_the_engine_saw(run)
    its_sub_agent_is_a_branch_of_its_own(run)
    its_shortened_history_is_a_branch(run)
    what_its_tools_say_is_understood(run)


def it_works_on_the_task_and_ends(run: Played) -> None:
    made, name = run.trajectory, run.trajectory.scaffold.name
    assert made.exit.kind == "submitted", made.exit
    assert "+hello-1" in (made.patch or "") and "+end-1" in (made.patch or "")
    assert made.scaffold.version == built_in()[name].version
    assert {call.dialect for call in made.calls} == {built_in()[name].dialect}


def every_sampled_token_is_delivered_and_every_path_is_what_the_engine_saw(run: Played) -> None:
    nodes = run.trajectory.nodes
    assert delivered(nodes) == sum(map(len, run.engine.answers)) > 0
    seen = {tuple(prompt + answer) for prompt, answer in zip(run.engine.prompts, run.engine.answers, strict=True)}
    assert {tuple(path(nodes, node)) for node in nodes if node.sampled} == seen


def path(nodes: list[Node], node: Node) -> list[int]:
    before = [] if node.parent is None else path(nodes, nodes[node.parent])
    return before + (node.token_ids or [])


def its_sub_agent_is_a_branch_of_its_own(run: Played) -> None:
    if run.part.hands.spawn is None:
        assert run.part.hands.no_spawn and "subagent" not in run.part.lanes
        return
    assert "subagent" in run.part.lanes and "+sub-1" in (run.trajectory.patch or "")
    branches = {node.lineage for node in run.trajectory.nodes if node.boundary == "subagent"}
    assert branches and "main" not in branches


def its_shortened_history_is_a_branch(run: Played) -> None:
    if not run.part.hands.shortens:
        assert run.part.hands.no_shortens and run.part.shortened == 0
        return
    assert run.part.shortened
    assert any(node.boundary in ("compaction", "mode") for node in run.trajectory.nodes)


def what_its_tools_say_is_understood(run: Played) -> None:
    outcomes = [call.outcome for node in run.trajectory.nodes for call in node.tool_calls]
    if run.part.hands.edits:
        assert outcomes == []
        return
    assert ("nonzero_exit" in outcomes) == run.part.hands.tells_exit, outcomes
    if "ok" in built_in()[run.trajectory.scaffold.name].outcomes.values():
        assert "ok" in outcomes


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_table_is_what_was_measured_of_all_agents() -> None:
    measured = RESULT.read_text("utf-8")
    assert page_table(measured) in (ROOT / "docs/agents.md").read_text("utf-8")
    rows = {name: (version, api) for name, version, api, *_ in cells(page_table(measured))[2:]}
    assert rows == {name: (row.version, row.dialect) for name, row in built_in().items()}


def test_captured_is_delivered() -> None:
    rows = cells(page_table(RESULT.read_text("utf-8")))
    at = PAGE.index("captured"), PAGE.index("delivered")
    assert all(row[at[0]] == row[at[1]] != "0" for row in rows[2:])
