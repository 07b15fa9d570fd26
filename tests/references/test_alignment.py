"""The discrepancy against every possible alignment of short paths, and what it must and must not depend on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from katcore.errors import InputError
from katcore.records import Node, Scaffold, Trajectory
from katcore.references import (
    Action,
    Costs,
    action_of,
    difference,
    discrepancy,
    nearest,
    relative_reward,
    step_of,
)

COMMANDS = ["ls", "cat a.py", "cat b.py", "grep f a.py", "sed -i s/x/y/ a.py", "pytest -q", "python run.py --all"]


def action(command: str) -> Action:
    return action_of("bash", {"command": command})


def draw(rng: random.Random, longest: int) -> list[Action]:
    return [action(rng.choice(COMMANDS)) for _ in range(rng.randint(0, longest))]


def alignments(n: int, m: int) -> Iterator[list[tuple[int, int]]]:
    """Every way to pair some of n things with some of m in order."""
    if n == 0 or m == 0:
        yield []
        return
    for rest in alignments(n - 1, m):
        yield rest
    for j in range(1, m + 1):
        for rest in alignments(n - 1, j - 1):
            yield [*rest, (n - 1, j - 1)]


def by_every_alignment(own: list[Action], other: list[Action]) -> float:
    if not own and not other:
        return 0.0
    costs = []
    for pairs in alignments(len(own), len(other)):
        gaps = len(own) + len(other) - 2 * len(pairs)
        costs.append(gaps + sum(difference(own[i], other[j]) for i, j in pairs))
    return min(costs) / max(len(own), len(other))


@pytest.mark.parametrize("seed", range(60))
def test_against_every_alignment(seed: int) -> None:
    rng = random.Random(seed)
    own, other = draw(rng, 5), draw(rng, 5)
    got = discrepancy(own, other)
    assert got == pytest.approx(by_every_alignment(own, other), abs=1e-12)
    assert 0 <= got <= 1
    assert got == pytest.approx(discrepancy(other, own), abs=1e-12)


def test_ends_of_the_scale() -> None:
    path = [action(c) for c in COMMANDS]
    assert discrepancy(path, path) == 0 and discrepancy([], []) == 0
    assert discrepancy(path, []) == 1 and discrepancy([], path) == 1


def words_apart(one: str, other: str) -> float:
    """Of two commands whose words are separated by blanks and occur once."""
    a, b = set(one.split()), set(other.split())
    return 1 - len(a & b) / len(a | b)


def test_what_a_replacement_costs() -> None:
    assert difference(action("cat a"), action("cat a")) == 0
    same_file = difference(action("head x/a"), action("tail x/a"))
    assert same_file == pytest.approx(0.3 * (1 - 3 / 5))  # words head|tail x / a
    other_file = difference(action("cat x/a"), action("cat x/b"))
    assert other_file == pytest.approx(0.3 + 0.3 * (1 - 3 / 5))
    assert difference(action("make all"), action("pytest")) == pytest.approx(0.6)  # no files: arguments bear both
    assert difference(action("ls"), action("pytest")) == pytest.approx(1.0)
    only_tool = Costs(tool=1.0, files=0.0, arguments=0.0)
    assert difference(action("cat a.py"), action("head b.py"), only_tool) == 0
    assert difference(action("make a b c"), action("make b d"), Costs()) == pytest.approx(
        0.6 * words_apart("make a b c", "make b d")
    )
    with pytest.raises(InputError):
        Costs(0.6, 0.6, 0.0)


def test_order_counts() -> None:
    path = [action(c) for c in COMMANDS[:4]]
    assert discrepancy(path[::-1], path) > 0.2


def steps(*commands: str) -> tuple:  # type: ignore[type-arg]
    return tuple(step_of(message(c)) for c in commands)


def message(command: str) -> dict[str, object]:
    call = {"function": {"name": "bash", "arguments": json.dumps({"command": command})}}
    return {"role": "assistant", "tool_calls": [call]}


def test_the_relative_reward_is_one_less_the_nearest_references_discrepancy() -> None:
    nodes = [
        Node(id=i, parent=i - 1 if i else None, role="assistant", message=message(c), token_ids=[i], sampled=[(0, 1)])
        for i, c in enumerate(COMMANDS[:4])
    ]
    trajectory = Trajectory(id="t", task_id="a", group_id="a", scaffold=Scaffold(name="x"), model="m", nodes=nodes)
    far, near, equal = steps("pytest -q"), steps(*COMMANDS[:3], "pytest -q"), steps(*COMMANDS[:4])
    assert relative_reward(trajectory, [far, equal, near]) == 1.0
    own = [action(c) for c in COMMANDS[:4]]
    found = nearest(own, [far, near])
    assert found.index == 1
    assert relative_reward(trajectory, [far, near]) == pytest.approx(1 - found.discrepancy)
    assert relative_reward(trajectory, [far]) < relative_reward(trajectory, [far, near]) < 1
    with pytest.raises(InputError, match="without references"):
        relative_reward(trajectory, [])
