"""Paths, order and trimming, on hand-made trees and on random ones."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from katcore.errors import RecordError, Rejected
from katcore.records import Node, Scaffold, Trajectory, encode
from katcore.trajectory.order import ordered
from katcore.trajectory.paths import Paths, messages_of, tools_of
from katcore.trajectory.trim import TrimLimits, trim
from tests.support.attempts import Grower, attempt, branched, calls, linear, result, said


def roles(trajectory: Trajectory) -> list[str]:
    return [node.role for node in trajectory.nodes]


def test_the_main_path_is_that_of_the_agents_last_answer() -> None:
    tree = Paths(branched())
    assert [node.id for node in tree.main] == [10, 11]  # what a compaction left of the conversation
    assert [[node.id for node in path] for path in tree.all] == [
        [0, 1], [2, 3, 4, 7], [2, 3, 4, 8, 9], [5, 6], [10, 11],
    ]  # fmt: skip


def test_results_after_the_last_answer_belong_to_its_path() -> None:
    grown = Grower()
    root = grown.add(None, said("user", "Fix it."))
    grown.add(grown.add(grown.add(root, calls("a", "b")), result("c1", "x")), result("c2", "y"))
    assert [node.id for node in Paths(attempt(grown)).main] == [0, 1, 2, 3]


def test_messages_have_their_tools_apart() -> None:
    path = Paths(linear()).main
    assert "tools" not in messages_of(path)[0]
    assert tools_of(path)[0]["function"]["name"] == "bash"


@pytest.mark.parametrize(
    ("parents", "why"), [([(0, None), (0, None)], "one id"), ([(0, 7)], "not there"), ([(0, 1), (1, 0)], "no root")]
)
def test_what_is_no_tree_is_refused(parents: list[tuple[int, int | None]], why: str) -> None:
    nodes = [Node(id=at, parent=parent, role="user") for at, parent in parents]
    bare = Trajectory(id="t", task_id="k", group_id="g", scaffold=Scaffold(name="x"), model="m", nodes=nodes)
    with pytest.raises(RecordError, match=why):
        _ = Paths(bare).depth_first


def test_order_does_not_depend_on_how_the_nodes_lie() -> None:
    whole = branched()
    rng = random.Random(1)
    numbers = rng.sample(range(100), len(whole.nodes))
    mixed = [
        replace(node, id=numbers[node.id], parent=None if node.parent is None else numbers[node.parent])
        for node in whole.nodes
    ]
    told = [replace(call, node=None if call.node is None else numbers[call.node]) for call in whole.calls]
    shuffled = replace(whole, nodes=rng.sample(mixed, len(mixed)), calls=rng.sample(told, len(told)))
    assert encode(ordered(shuffled)) == encode(ordered(whole))
    parents = [node.parent for node in ordered(whole).nodes]
    assert all(parent is None or parent < at for at, parent in enumerate(parents))


def test_calls_are_ordered_by_time_and_not_by_how_it_is_written() -> None:
    whole = linear()
    starts = ["2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05Z", "2026-01-02T05:04:04+02:00"]
    calls = [replace(call, started_at=start) for call, start in zip(whole.calls, starts)]
    assert [call.node for call in ordered(replace(whole, calls=calls)).calls] == [7, 5, 2]
    with pytest.raises(RecordError, match="no time"):
        ordered(replace(whole, calls=[replace(calls[0], started_at="2026-01-02T03:04:99Z")]))


def test_turns_keep_the_results_of_the_last_answer() -> None:
    cut = trim(linear(), TrimLimits(turns=1))
    assert roles(cut) == ["system", "user", "assistant", "tool", "tool"]
    assert [call.node for call in cut.calls] == [2]
    dropped = {"nodes": 3, "turns": 2, "calls": 2, "tokens": 15}
    assert cut.artifacts["trimmed"] == [{"turns": 1, "dropped": dropped}]


@pytest.mark.parametrize(("tokens", "kept"), [(24, None), (25, 5), (29, 5), (34, 5), (35, 7), (39, 7), (40, 8)])
def test_tokens_never_part_a_call_from_its_result(tokens: int, kept: int | None) -> None:
    if kept is None:
        with pytest.raises(Rejected):
            trim(linear(), TrimLimits(tokens=tokens))
    else:
        assert len(trim(linear(), TrimLimits(tokens=tokens)).nodes) == kept


def test_questions_without_an_answer_go_and_boundaries_stay() -> None:
    cut = trim(branched(), TrimLimits(turns=1))
    assert [node.id for node in cut.nodes] == [0, 1, 2, 3, 4, 5, 6, 10, 11]
    assert [node.boundary for node in cut.nodes if node.parent is None] == ["title", "none", "subagent", "compaction"]


def test_the_main_path_alone_and_rewards_by_turn() -> None:
    whole = branched()
    assert whole.verdict is not None
    whole = replace(whole, verdict=replace(whole.verdict, turn_rewards=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]))
    cut = trim(whole, TrimLimits(main=True))
    assert cut.verdict is not None and cut.verdict.turn_rewards == [0.5]
    assert trim(cut, TrimLimits(main=True)) is cut


def test_a_second_trim_is_told_beside_the_first() -> None:
    cut = trim(trim(linear(), TrimLimits(turns=2)), TrimLimits(turns=1))
    assert [each["turns"] for each in cut.artifacts["trimmed"]] == [2, 1]


def test_text_has_no_tokens_to_trim_by() -> None:
    assert len(trim(linear(tokens=False), TrimLimits(turns=2)).nodes) == 7
    with pytest.raises(RecordError, match="by turns only"):
        trim(linear(tokens=False), TrimLimits(tokens=10))


def test_random_trees_keep_whole_exchanges_within_the_limit() -> None:
    rng = random.Random(7)
    for _ in range(100):
        grown = Grower()
        at = [grown.add(None, said("user", "go"))]
        for n in range(rng.randint(1, 12)):
            up = rng.choice(at)
            up = grown.add(up, calls("a", "b", first=2 * n))
            up = grown.add(up, result(f"c{2 * n}", "x"))
            at.append(grown.add(up, result(f"c{2 * n + 1}", "y")))
        limit = rng.randint(20, 80)
        cut = Paths(trim(attempt(grown), TrimLimits(tokens=limit)))
        for path in cut.all:
            assert len(path) % 3 == 1 and 5 * len(path) <= limit
        assert len(cut.by_id) == sum(5 * len(Paths(attempt(grown)).path(node)) <= _end(node, limit) for node in range(
            len(grown.nodes)))  # fmt: skip


def _end(node: int, limit: int) -> int:
    """Every third node ends an exchange; the limit of one inside it is that of where the exchange ends."""
    return limit - 5 * (-node % 3)


def test_the_command_trims_passes_tasks_through_and_keeps_foreign_fields(tmp_path: Path) -> None:
    line = msgspec.json.encode(msgspec.json.decode(encode(linear())) | {"team": "ours"})
    short = encode(replace(linear(), id="t2", nodes=linear().nodes[:3], calls=[]))
    late = encode(replace(branched(), id="t3", nodes=branched().nodes[:1], calls=[]))
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join([line, short, late, b""]))
    done = subprocess.run(["kat-rollout", "trim", "--turns", "1", source], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert (second, third) == (short, late)
    made = msgspec.json.decode(first)
    assert made["team"] == "ours" and len(made["nodes"]) == 5
    done = subprocess.run(["kat-rollout", "trim", source], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "nothing to trim" in done.stderr
