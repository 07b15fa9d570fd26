"""Judges: what they are asked, which votes count, and what an attempt that speaks to them gets. A scripted endpoint
stands for the model; everything between is real."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from katcore.errors import RecordError
from katcore.llm import Client
from katcore.records import Scaffold, Task, TaskSource, Trajectory, Verdict, Verification, encode
from katcore.verify import dual
from katcore.verify.ballot import ballot, without_address
from katcore.verify.grader import Grader, masked
from katcore.verify.judge import Judge
from katcore.verify.rubric import shipped
from katcore.verify.verifier import Verifier
from tests.support.scripted_endpoint import Answer, endpoint, honest, text_of

RUBRIC = {
    "dimensions": [
        {"name": "correct", "question": "Is it right?", "weight": 3, "anchors": {"0": "wrong", "5": "right"}},
        {"name": "clear", "question": "Is it clear?"},
    ]
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(tmp_path))


def task(kind: Any = "judge", rubric: Any = None) -> Task:
    return Task(
        instance_id="j", repo="j", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
        problem_statement="Write a short essay.", source=TaskSource(kind="inline"),
        verification=Verification(kind=kind, rubric=RUBRIC if rubric is None else rubric, answer="42"),
    )  # fmt: skip


def attempt(answer: str) -> Trajectory:
    return Trajectory(
        id="a", task_id="j", group_id="j", scaffold=Scaffold(name="s"), model="m", artifacts={"answer": answer}
    )


def judge(*urls: str, votes: int = 3) -> Judge:
    return Judge(tuple(Client(url, "m", first_pause_s=0.01, attempts=2) for url in urls), votes=votes)


def verdict(answer: Answer, work: str, votes: int = 3) -> tuple[Verdict, list[dict[str, Any]]]:
    with endpoint(answer) as server:
        found = Verifier(Grader(), judge(server.url, votes=votes)).verdict(attempt(work), task())
    return found, server.requests


def test_the_reward_is_the_weighted_mean() -> None:
    found, asked = verdict(honest(lambda name, work: 4 if name == "correct" else 2), "An essay.")
    assert found.reward == pytest.approx((3 * 4 + 1 * 2) / (5 * 4)) and found.passed
    assert found.parts["scores"] == {"correct": 4, "clear": 2} and len(asked) == 6, "three votes on each view"
    assert found.evidence["disagreement"] == {"correct": 0.0, "clear": 0.0} and not found.flags


def test_votes_that_differ_are_reported_and_the_median_counts() -> None:
    scores = iter([5, 5, 1, 5, 5, 5])

    def answer(body: dict[str, Any]) -> Any:
        score = next(scores)
        return honest(lambda name, work: score if name == "clear" else 3)(body)

    found, _ = verdict(answer, "An essay.")
    assert found.evidence["votes"]["clear"] == [5, 5, 1] and found.flags == ["judges_disagree:clear"]
    assert found.reward == pytest.approx((3 * 3 + 5) / 20)


def test_one_vote_that_obeys_moves_nothing() -> None:
    calls = iter(range(100))

    def answer(body: dict[str, Any]) -> Any:
        first = next(calls) == 0
        return honest(lambda name, work: 5 if first else 1)(body)

    found, _ = verdict(answer, "An essay.")
    assert found.reward == 0.2


@pytest.mark.parametrize(
    "wrong", ["no", '{"canary": "x"}', '{"canary": "WORD", "scores": {}}', '{"canary":"x","scores":{"a":{"score":9}}}']
)
def test_answers_of_another_form_mask_the_verdict(wrong: str) -> None:
    found, _ = verdict(lambda body: wrong, "An essay.")
    assert found.masked and found.reason.startswith("judge: 0 of 3 votes count")


def test_an_endpoint_that_is_away_masks_the_verdict() -> None:
    found = Verifier(Grader(), judge("http://127.0.0.1:9/v1")).verdict(attempt("An essay."), task())
    assert found.masked and found.reason.startswith("judge: m: does not answer")


def test_a_panel_takes_turns() -> None:
    with endpoint(honest(lambda name, work: 5)) as one, endpoint(honest(lambda name, work: 1)) as other:
        found = judge(one.url, other.url, votes=3).verdict(task(), attempt("An essay."))
    assert (len(one.requests), len(other.requests)) == (3, 3)
    assert (found.evidence["votes"]["clear"], found.evidence["marked_votes"]["clear"]) == ([5, 1, 5], [1, 5, 1])
    assert found.reward == 0.2 and found.flags == ["judges_disagree:clear,correct", "views_disagree:clear,correct"]


def test_nothing_said_is_nothing_to_judge() -> None:
    found = judge("http://127.0.0.1:9/v1").verdict(task(), attempt(" "))
    assert (found.reward, found.masked, found.reason) == (0.0, False, "no work to judge")


@pytest.mark.parametrize(
    "rubric",
    [
        {},
        {"dimensions": []},
        {"dimensions": [{"name": "a"}, {"name": "a"}]},
        {"dimensions": [{"name": "a", "weight": -1}]},
        {"dimensions": [{"name": "a", "anchors": {"7": "x"}}]},
        {"dimensions": [{"name": "a\nb"}]},
    ],
)
def test_malformed_rubrics_are_dead_letters(rubric: Any) -> None:
    with pytest.raises(RecordError, match="rubric"):
        judge("http://127.0.0.1:9/v1").verdict(task(rubric=rubric), attempt("An essay."))


def test_a_task_that_wants_a_judge_says_so_without_one() -> None:
    with pytest.raises(RecordError, match="--judge"):
        Verifier().verdict(attempt("An essay."), task())


def test_ordinary_work_does_not_speak_to_its_judge() -> None:
    code = "def score(items):\n    # give each item its weight\n    return sum(i.score for i in items)\n"
    code += "\nclass Judge:\n    pass\n"
    assert without_address(code) == (code, 0)


def test_votes_have_canaries_of_their_own() -> None:
    rubric = shipped("web_slides")
    made = [ballot("t", "w", rubric, vote) for vote in range(8)]
    assert len({b.word for b in made}) == 8 and len({b.control_score for b in made}) > 1
    assert {len(shipped("web_page").dimensions), len(rubric.dimensions)} == {10, 5}
    assert made == [ballot("t", "w", rubric, vote) for vote in range(8)], "so that the cache can answer"
    others = [
        ballot("t", "w", rubric, 0, secret="s"),
        ballot("t", "w", rubric, 0, marked=True),
        ballot("t", "v", rubric, 0),
    ]
    assert len({(b.nonce, b.word, b.control) for b in [made[0], *others]}) == 4


def test_runs_of_a_machine_share_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Judge(()), Judge(())
    assert one.secret == other.secret and len(one.secret) == 64 and one.secret not in repr(one)
    monkeypatch.setenv("KAT_CACHE", str(tmp_path / "other"))
    assert Judge(()).secret != one.secret


def test_the_same_attempt_is_asked_about_once() -> None:
    with endpoint(honest(lambda name, work: 4)) as server:
        verdicts = [judge(server.url).verdict(task(), attempt("An essay.")) for _ in range(2)]
    assert verdicts[0] == verdicts[1] and len(server.requests) == 6


def test_the_parts_of_an_attempt_have_their_names() -> None:
    """What an answer says of a patch is no patch."""
    seen: list[str] = []

    def answer(body: dict[str, Any]) -> Any:
        seen.append(text_of(body))
        return honest(lambda name, work: 3)(body)

    both = attempt("Done.\n\n# patch\n+ all of it")
    both.patch = "--- a/f\n+++ b/f\n"
    with endpoint(answer) as server:
        judge(server.url, votes=1).verdict(task(), both)
    data = json.loads(seen[0].rpartition("The data ends here.")[0])
    (given,) = data.values()
    assert given["task"] == ["Write a short essay."]
    assert given["work"] == {
        "answer": ["Done.", "", "# patch", "+ all of it"],
        "patch": ["--- a/f", "+++ b/f", ""],
    }


def test_dual_rules_are_a_gate() -> None:
    both = task("dual", {**RUBRIC, "rules": [{"check": "exact", "answer": "42"}], "rules_weight": 0.4})
    with endpoint(honest(lambda name, work: 3)) as server:
        verifier = Verifier(Grader(), judge(server.url))
        good, bad = verifier.verdict(attempt("42"), both), verifier.verdict(attempt("41"), both)
        asked = len(server.requests)
    assert good.reward == pytest.approx(0.4 + 0.6 * 0.6) and good.passed
    assert (good.parts["rules"], good.parts["judge"]) == (1.0, 0.6)
    assert (bad.reward, bad.passed, bad.parts["judge"], asked) == (0.0, False, None, 6), "no judge for what failed"


def test_dual_is_masked_when_either_is() -> None:
    both = task("dual", RUBRIC)
    passed = Verdict(reward=1.0, passed=True)
    found = dual.verdict(both, passed, lambda: masked("judge: away"))
    assert (found.masked, found.reason, found.parts) == (True, "judge: away", {"rules": 1.0, "judge": None})
    assert dual.verdict(both, masked("sandbox: away"), lambda: pytest.fail("not asked")).reason == "sandbox: away"
    torn = dual.verdict(both, passed, lambda: Verdict(reward=0.2, reason="weak"))
    assert torn.flags == ["verifiers_disagree"] and not torn.passed and torn.reward == pytest.approx(0.6)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    """From a file to a verdict, and the ways in which it can be called wrongly."""
    source = tmp_path / "in.jsonl"
    source.write_bytes(encode(task()) + b"\n" + encode(attempt("An essay.")) + b"\n")

    def called(*options: str) -> subprocess.CompletedProcess[str]:
        command = ["kat-verify", *options, str(source)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with endpoint(honest(lambda name, work: 4)) as server:
        done = called("--judge", f"openai:{server.url}", "--judge-model", "m", "--votes", "2", "--judge-calls", "4")
        assert done.returncode == 0, done.stderr
        verdict = json.loads(done.stdout.splitlines()[1])["verdict"]
        assert (verdict["reward"], verdict["evidence"]["votes"]) == (0.8, {"correct": [4, 4], "clear": [4, 4]})
        assert len(server.requests) == 4
        done = called("--no-reuse", "--judge", f"openai:{server.url}", "--judge-model", "m", "--judge-calls", "2")
        spent = json.loads(done.stdout.splitlines()[1])["verdict"]
        assert (spent["masked"], spent["reason"]) == (True, "judge: 2 model calls are used up")
    assert called().returncode == 3, "a dead letter"
    assert called("--judge", "openai:http://127.0.0.1:9/v1").returncode == 2
    assert called("--judge", "magic:x", "--judge-model", "m").returncode == 2
