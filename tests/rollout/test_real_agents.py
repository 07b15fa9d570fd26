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
from tests.support.agent_scenarios import HANDS, Played, play

pytestmark = pytest.mark.slow
IN_CI = ("claude-code", "codex", "opencode", "mini-swe-agent")
AGENTS = [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.agents]) for name in HANDS]
COLUMNS = "agent, version, API, calls, branches, boundaries, captured, delivered, sub-agent, compaction, seconds"
HEAD = f"| {COLUMNS.replace(', ', ' | ')} |"


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    if path := os.environ.get("KAT_AGENTS_TABLE"):
        Path(path).write_text("\n".join(["# Real agents on the scenario", "", *NOTES, "", HEAD, RULE, *rows]) + "\n")


@pytest.fixture
def run(request: pytest.FixtureRequest, installations: Path, table: list[str]) -> Played:
    """The agent's run."""
    name = request.param
    made = play(name)
    table.append(row(name, made))
    return made


NOTES = [
    "`make test-agents` writes this. Each agent's real binary, as pinned, in a bubblewrap box without a network, its",
    "requests forwarded to the gateway; the model is played: it writes a file, lets a sub-agent write another, reads",
    "until its history must be shortened, and ends. Captured: tokens that the engine sampled; delivered: those that",
    "the trajectory holds as sampled. Branches: lineages beside `main`; boundaries: what the gateway called them.",
]
RULE = "|---|---|---|---|---|---|---|---|---|---|---|"


def delivered(nodes: list[Node]) -> int:
    return sum(b - a for node in nodes for a, b in node.sampled)


def row(name: str, run: Played) -> str:
    hands, made = HANDS[name], run.trajectory
    lineages = {node.lineage for node in made.nodes} - {"main"}
    boundaries = sorted({node.boundary for node in made.nodes} - {"none"})
    captured = sum(map(len, run.engine.answers))
    cells = [
        name, made.scaffold.version, built_in()[name].dialect, str(len(made.calls)), str(len(lineages)),
        ", ".join(boundaries) or "-", str(captured), str(delivered(made.nodes)),
        f"n/a: {hands.no_spawn}" if hands.spawn is None else "yes" if "subagent" in run.part.lanes else "no",
        f"n/a: {hands.no_shortens}" if not hands.shortens else "yes" if run.part.shortened else "no",
        f"{made.timing.agent:.1f}",
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
    assert "ok" in outcomes and ("nonzero_exit" in outcomes) == run.part.hands.tells_exit, outcomes
