"""The draw from histories: an equal share of each, by the seed, and what comes of it told whole."""

from __future__ import annotations

from pathlib import Path

from benchmarks.histories import built, drawn, summary
from katcore.records import encode
from tests.support.messages import change


def test_each_history_gives_its_share_and_the_seed_decides_which() -> None:
    pools = {"a": [b"%d" % n for n in range(100)], "b": [b"b1", b"b2"], "c": [b"c%d" % n for n in range(50)]}
    draw = drawn(pools, 30, 12)
    assert [sum(name == which for name, _ in draw) for which in "bca"] == [2, 14, 14]
    assert len(set(draw)) == 30 and all(line in pools[name] for name, line in draw)
    assert draw == drawn(dict(reversed(pools.items())), 30, 12) != drawn(pools, 30, 13)
    assert len(drawn({"a": [b"1"]}, 30, 12)) == 1


def test_a_change_that_is_turned_away_is_told_with_its_runs(cache: Path) -> None:
    row = built(encode(change("Merge branch 'stable'", tests="")), cache)
    assert {name: value for name, value in row.items() if name != "seconds"} == {
        "outcome": "turned away", "stage": "select", "reason": "no_test_patch",
        "runs": {"suite": 0, "files": 0, "not_started": 0},
    }  # fmt: skip


def test_the_yield() -> None:
    runs = {"suite": 6, "files": 0, "not_started": 0}
    rows = [
        {"repo": "a", "outcome": "task", "runs": runs, "seconds": 9.0},
        {
            "repo": "a",
            "outcome": "turned away",
            "stage": "f2p",
            "reason": "no_f2p",
            "runs": {"suite": 2},
            "seconds": 1.0,
        },
        {"repo": "b", "outcome": "dead letter", "stage": "source", "reason": "?", "runs": {"suite": 0}, "seconds": 3.0},
    ]
    found = summary(rows)
    assert (found["changes"], found["tasks"], found["yield"]) == (3, 1, 0.333)
    assert found["tasks_by_repo"] == {"a": "1 of 2", "b": "0 of 1"}
    assert found["turned_away"] == {"f2p: no_f2p": 1, "source: ?": 1}
    assert found["most_suite_runs"] == {"turned_away": 2, "task": 6}
    assert found["median_seconds"] == {"turned_away": 2.0, "task": 9.0}
