"""From a stream of trajectories to a stream of packs: grouping, steps, rows, refusals."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from katcore.errors import InputError, RecordError, Rejected
from katcore.pack_trie.packing import first_fit
from katcore.pack_trie.stats import table, tabulate
from katcore.pack_trie.stream import emit, items
from katcore.pool import Item, run
from katcore.records import Pack, Sample, Task, TaskSource, Trajectory, Verdict, encode
from katcore.streams import Line
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node

TEN = pack_options(objective="sft", budget=10)


def sampled(group: str, sample: int, size: int = 2, length: int = 4, **fields: object) -> Trajectory:
    nodes = [node(0, None, [1, 2]), node(1, 0, [10 + sample] * length, True)]
    return attempt(nodes, sample, group, size, **{"reward": float(sample % 2), **fields})  # type: ignore[arg-type]


def task(name: str) -> Task:
    return Task(
        instance_id=name, repo="r", base_commit="c", created_at="2026-01-01T00:00:00Z", source=TaskSource(kind="git")
    )


def packs(stream: list[Item]) -> list[Pack]:
    return [item.payload for item in stream if isinstance(item.payload, Pack)]


def reasons(stream: list[Item]) -> list[tuple[str, str]]:
    return [(item.key, str(item.payload)) for item in stream if isinstance(item.payload, Exception)]


def whole(objective: str, *records: object, **options: object) -> list[Item]:
    return list(items(lines(*records), pack_options(objective=objective, **options)))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- grouping


def test_a_group_leaves_as_soon_as_it_is_whole() -> None:
    taken: list[str] = []

    def source() -> Iterator[Line]:
        for line in lines(task("a"), sampled("a", 0), task("b"), sampled("b", 0), sampled("b", 1), sampled("a", 1)):
            taken.append(getattr(line.record, "id", "task"))
            yield line

    stream = items(source(), pack_options(objective="grpo", groups_per_step=1))
    first = next(stream).payload
    assert {s.group_id for s in first.samples} == {"b"} and first.step == 0
    assert taken == ["task", "a0", "task", "b0", "b1"], "nothing was read ahead"
    second = next(stream).payload
    assert {s.group_id for s in second.samples} == {"a"} and second.step == 1
    assert list(stream) == []


def test_an_incomplete_group_leaves_at_the_end_of_the_input() -> None:
    (pack,) = packs(whole("grpo", *(sampled("a", i, size=8) for i in range(3))))
    assert len(pack.samples) == 3


def test_the_order_of_arrival_changes_nothing_inside_a_group() -> None:
    members = [sampled("a", i, size=5) for i in range(5)]
    expected = packs(whole("grpo", *members))
    shuffled = random.Random(1).sample(members, 5)
    assert packs(whole("grpo", *shuffled)) == expected


def test_a_trajectory_that_comes_twice_is_taken_once() -> None:
    stream = whole("grpo", sampled("a", 0), sampled("a", 0), sampled("a", 1))
    assert len(packs(stream)[0].samples) == 2
    assert reasons(stream) == [("kat.trajectory/1:a0", "duplicate: its group has this trajectory already")]


def test_a_record_that_cannot_be_read_does_not_hold_its_group_open() -> None:
    broken = sampled("a", 1, size=3)
    broken.nodes[1].engine_logprobs = [-1.0]
    stream = whole("grpo", sampled("a", 0, size=3), broken, sampled("a", 2, size=3), sampled("b", 0), groups_per_step=1)
    assert isinstance(stream[0].payload, RecordError) and stream[0].raw and stream[0].line == 2
    assert [s.trajectory_id for s in packs(stream)[0].samples] == ["a0", "a2"]
    assert [item.key.partition(":")[0] for item in stream] == ["kat.trajectory/1", "kat.pack/1", "kat.trajectory/1"]


def test_a_sample_that_cannot_be_read_is_a_dead_letter() -> None:
    (item,) = whole("sft", Sample(id="s"))
    assert item.key == "kat.sample/1:s" and item.raw and item.line == 1
    with pytest.raises(RecordError, match="either messages or text"):
        list(emit(item))


def test_text_samples_are_groups_of_their_own() -> None:
    counts: Counter[str] = Counter()
    records = [Sample(id="s", text="hello there"), sampled("a", 1, 1, tokenizer=""), Sample(id="t", text="and here")]
    stream = list(items(lines(*records), pack_options(objective="sft"), lambda name, n: counts.update({name: n})))
    (pack,) = packs(stream)
    assert [(s.trajectory_id, s.group_id) for s in pack.samples] == [("s", "s"), ("a1", "a"), ("t", "t")]
    assert pack.step_counts.groups == 3 and (counts["samples"], counts["trajectories"]) == (2, 1)


# ------------------------------------------------------------------------------------- who is trained on


def test_low_rewards_are_turned_away_from_supervised_training() -> None:
    stream = whole("sft", sampled("a", 0), sampled("a", 1), min_reward=0.5)
    assert reasons(stream) == [("kat.trajectory/1:a0", "reward: reward 0 is below 0.5")]
    assert all(isinstance(i.payload, Rejected) for i in stream if not isinstance(i.payload, Pack))
    assert len(packs(whole("sft", sampled("a", 0), sampled("a", 1), min_reward=0))[0].samples) == 2


def test_masked_attempts_count_for_nothing() -> None:
    masked = Verdict(reward=0.0, masked=True, reason="sandbox died")
    members = [sampled("a", 0, 3), sampled("a", 1, 3), sampled("a", 2, 3, verdict=masked)]
    stream = whole("grpo", *members)
    (pack,) = packs(stream)
    (clean,) = packs(whole("grpo", *members[:2]))
    assert [s.advantage for s in pack.samples] == [s.advantage for s in clean.samples] + [None]
    assert pack.samples[2].masked and pack.samples[2].reason == "sandbox died"
    assert pack.tokens == clean.tokens and pack.term_token == clean.term_token and pack.step_counts == clean.step_counts
    assert reasons(stream) == [("kat.trajectory/1:a2", "verdict: masked: sandbox died")]
    assert reasons(whole("sft", members[2])) == [("kat.trajectory/1:a2", "verdict: masked: sandbox died")]


def test_a_group_with_one_unmasked_sample_is_dropped_and_counted() -> None:
    counts: Counter[str] = Counter()
    masked = Verdict(masked=True)
    records = [sampled("a", 0), sampled("a", 1, verdict=masked), sampled("b", 0), sampled("b", 1)]
    stream = list(items(lines(*records), pack_options(objective="grpo"), lambda name, n: counts.update({name: n})))
    assert [k for k, _ in reasons(stream)] == ["kat.trajectory/1:a1", "kat.trajectory/1:a0"]
    assert "has 1 unmasked samples, grpo needs 2" in reasons(stream)[1][1]
    assert packs(stream)[0].step_counts.groups == 1
    assert counts["groups"] == 2 and counts["groups_dropped"] == 1 and counts["trajectories"] == 4


def test_a_group_of_equal_rewards_is_kept_and_counted() -> None:
    counts: Counter[str] = Counter()
    records = [sampled("a", i, reward=1.0) for i in range(2)]
    stream = list(items(lines(*records), pack_options(objective="grpo"), lambda name, n: counts.update({name: n})))
    assert [s.advantage for s in packs(stream)[0].samples] == [0.0, 0.0]
    assert packs(stream)[0].step_counts.trained_tokens == 8 and counts["groups_zero_variance"] == 1


def test_an_attempt_without_tokens_still_stands_in_its_group() -> None:
    silent = attempt([node(0, None, [1, 2])], 0, "a", 2, reward=0.0)
    (pack,) = packs(whole("grpo", silent, sampled("a", 1)))
    assert [s.trajectory_id for s in pack.samples] == ["a0", "a1"]
    assert [s.advantage for s in pack.samples] == pytest.approx([-1, 1], abs=1e-5)
    assert set(pack.term_sample) == {1} and pack.step_counts.samples == 1
    nothing = whole("grpo", silent, attempt([], 1, "a", 2))
    assert packs(nothing) == [] and len(reasons(nothing)) == 2


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("objective", ["sft", "em-sft", "grpo"])
def test_ungraded_attempts_are_refused_where_rewards_matter(objective: str) -> None:
    with pytest.raises(InputError, match=r"in.jsonl: line 1: trajectory a0 has no verdict") as error:
        whole(objective, sampled("a", 0, reward=None))
    assert "kat-verify" in error.value.hint and error.value.code == 4


@pytest.mark.parametrize("objective", ["grpo", "opd"])
@pytest.mark.parametrize("fields", [{"engine_logprobs": None}, {"origin": "scripted"}, {"origin": "reference"}])
def test_tokens_that_the_policy_did_not_sample_are_refused_for_rl(objective: str, fields: dict[str, object]) -> None:
    member = attempt([node(0, None, [1]), node(1, 0, [2], True, **fields)])
    with pytest.raises(InputError, match=r"node 1 is .* has no log-probs of the policy"):
        whole(objective, member)
    (pack,) = packs(whole("sft", member))
    assert (pack.engine_logprob is None) == ("engine_logprobs" in fields)


def test_two_tokenizers_do_not_mix() -> None:
    with pytest.raises(InputError, match="line 2: tokenizer other is not abc"):
        whole("sft", sampled("a", 1), sampled("b", 1, tokenizer="other"))
    with pytest.raises(InputError, match="line 1: tokenizer abc is not wanted"):
        list(items(lines(sampled("a", 1)), TEN, chat=SimpleNamespace(digest="wanted")))  # type: ignore[arg-type]
    assert packs(whole("sft", sampled("a", 1)))[0].tokenizer == "abc"


# ------------------------------------------------------------------------------------------ steps and rows


def test_denominators_are_those_of_the_whole_step() -> None:
    records = [sampled(g, i, length=3 + i) for g in "abcde" for i in range(2)]
    for per_step, steps in ((2, [2, 2, 1]), (0, [5]), (5, [5]), (16, [5])):
        found = packs(whole("grpo", *records, budget=10, groups_per_step=per_step))
        assert len(found) == 5 and {p.step for p in found} == set(range(len(steps)))
        for pack in found:
            counts = pack.step_counts
            expected = (steps[pack.step], 2 * steps[pack.step], 2 * steps[pack.step], 7 * steps[pack.step])
            assert (counts.groups, counts.samples, counts.turns, counts.trained_tokens) == expected


def test_dropped_groups_take_no_place_in_a_step() -> None:
    records = [sampled("a", 0, 1), *(sampled(g, i) for g in "bc" for i in range(2))]
    assert [p.step_counts.groups for p in packs(whole("grpo", *records, groups_per_step=2))] == [2]


def test_first_fit_in_the_order_of_arrival() -> None:
    assert first_fit([4, 5, 3, 6, 2, 1], 10) == [[0, 1, 5], [2, 3], [4]]
    assert first_fit([3, 12, 3, 40], 10) == [[0, 2], [1], [3]], "a larger tree is alone"
    assert first_fit([], 10) == []


def test_several_trees_in_a_row_are_a_forest() -> None:
    records = [sampled(g, i) for g in "ab" for i in range(2)]
    (row,) = packs(whole("grpo", *records, budget=20))
    alone = packs(whole("grpo", *records, budget=10))
    assert len(alone) == 2 and row.tokens == alone[0].tokens + alone[1].tokens
    assert row.parent == alone[0].parent + [p + 10 if p >= 0 else -1 for p in alone[1].parent]
    assert row.end == alone[0].end + [e + 10 for e in alone[1].end]
    assert row.depth == alone[0].depth + alone[1].depth
    assert row.term_token == alone[0].term_token + [t + 10 for t in alone[1].term_token]
    assert row.term_sample == alone[0].term_sample + [s + 2 for s in alone[1].term_sample]
    assert row.samples == alone[0].samples + alone[1].samples
    assert row.stats.flat == 24 and row.stats.unique == 20 and row.stats.por == pytest.approx(1 / 6)


def test_ids_come_from_the_content_and_threads_change_nothing() -> None:
    records = [sampled(g, i) for g in "abcdefgh" for i in range(2)]
    settings = pack_options(objective="grpo", budget=20, groups_per_step=3)
    outputs = []
    for jobs in (1, 4):
        done = run(emit, items(lines(*records), settings), jobs)
        outputs.append([encode(record) for outcome in done for record in outcome.output])
    assert outputs[0] == outputs[1]
    ids = [p.id for p in packs(list(items(lines(*records), settings)))]
    assert len(set(ids)) == len(ids) == 5
    records[0].verdict = Verdict(reward=0.25)
    other = [p.id for p in packs(list(items(lines(*records), settings)))]
    assert [a == b for a, b in zip(ids, other)] == [False, True, True, True, True]


# --------------------------------------------------------------------------------------------------- stats


def test_stats_of_trajectories_and_of_their_packs_agree() -> None:
    records = [sampled(g, i, reward=None) for g in "ab" for i in range(2)]
    found = tabulate(lines(task("a"), *records), TEN.layout)
    assert [(r.name, r.samples, r.flat, r.unique) for r in found.rows] == [("a", 2, 12, 10), ("b", 2, 12, 10)]
    assert (found.packs, found.over_budget, found.total.flat) == (2, 0, 24) and found.ceiling == pytest.approx(1.2)
    of_packs = tabulate(lines(*packs(whole("opd", *records, budget=10))), TEN.layout)
    assert (of_packs.total, of_packs.packs) == (found.total, found.packs)
    assert tabulate(lines(*records), pack_options(objective="sft", budget=9).layout).over_budget == 2
    text = table(found)
    assert "0.167" in text and "2 packs of at most 10 tokens; sharing gains at most 1.20x" in text


def test_stats_count_what_they_cannot_read_and_refuse_an_empty_stream() -> None:
    silent = sampled("a", 0)
    silent.nodes[0].token_ids = None
    found = tabulate(lines(silent, sampled("a", 1)), TEN.layout)
    assert found.unreadable == 1 and found.rows[0].samples == 1
    assert "1 trajectories have no exact tokens" in table(found)
    with pytest.raises(InputError, match="no trajectories and no packs"):
        tabulate(lines(task("a")), TEN.layout)
