"""LLM-as-judge: several votes on a rubric's dimensions, their weighted mean as the reward, their disagreement told.

In: a task with a rubric, an attempt, clients of OpenAI-compatible endpoints. Out: a verdict. Votes that fail a canary
do not count (`ballot.py`). Work that speaks to its judge is judged without those lines; votes on the whole work are
had beside it only to tell whether the judge would have obeyed. Without enough votes the verdict is masked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, pstdev

from katcore.errors import UsageError
from katcore.llm import BadAnswer, Budget, Client
from katcore.records import Json, Task, Trajectory, Verdict
from katcore.references import actions, steps_of
from katcore.verify.answer import answer_of
from katcore.verify.ballot import Given, ballot, without_address
from katcore.verify.grader import masked
from katcore.verify.options import JudgeOptions
from katcore.verify.rubric import TOP, Rubric, rubric_of

APART = 3
"""The difference in points, of 5, from which votes on one dimension are said to disagree."""
OBEYED = 0.1
"""How much more reward the whole work may get than the work without the lines that speak to its judge."""


@dataclass
class Poll:
    """Votes on one text: those that count, and why the others do not."""

    votes: list[Given] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def scores(self, name: str) -> list[int]:
        """One dimension's scores, in the order of the votes."""
        return [vote.scores[name].score for vote in self.votes]


@dataclass(frozen=True)
class Judge:
    """`clients` take turns, so that several models make a panel; each text gets `votes` of them."""

    clients: tuple[Client, ...]
    votes: int = JudgeOptions().votes
    temperature: float = 0.7

    @classmethod
    def of(cls, options: JudgeOptions, reuse: bool = True) -> Judge | None:
        """The judge that the options name, or None. `reuse`: answers come from the cache where they are there."""
        if len(options.judge_model) != len(options.judge):
            raise UsageError("--judge and --judge-model go together, one model for each endpoint")
        budget = Budget(calls=options.judge_calls)
        clients = [
            Client.named(engine, model, key_variable=options.judge_key, budget=budget, reuse=reuse)
            for engine, model in zip(options.judge, options.judge_model)
        ]
        return cls(tuple(clients), votes=options.votes) if clients else None

    def verdict(self, task: Task, trajectory: Trajectory) -> Verdict:
        """The verdict on an attempt. RecordError for a malformed rubric, EngineError when no endpoint answers."""
        rubric = rubric_of(task)
        work = work_of(task, trajectory, rubric)
        if not work.strip():
            return Verdict(reason="no work to judge")
        return self.judged(task.problem_statement, work, rubric)

    def judged(self, statement: str, work: str, rubric: Rubric, images: Sequence[Json] = ()) -> Verdict:
        """The verdict on any work; `images` are content parts of the OpenAI form."""
        clean, lines = without_address(work)
        poll = self._poll(statement, clean, rubric, images)
        flags = [f"vote_refused:{why}:{count}" for why, count in sorted(poll.refused.items())]
        if lines:
            flags.append(f"speaks_to_judge:{lines}")
        if 2 * len(poll.votes) <= self.votes:
            out = masked(f"judge: {len(poll.votes)} of {self.votes} votes count: {dict(poll.refused)}")
            out.flags = flags
            return out
        out = _verdict(poll, rubric, flags)
        if lines:
            self._compare(out, statement, work, rubric, images)
        return out

    def _poll(self, statement: str, work: str, rubric: Rubric, images: Sequence[Json]) -> Poll:
        """Ask until `votes` votes count, at most twice as many times."""
        poll = Poll()
        for number in range(2 * self.votes):
            if len(poll.votes) == self.votes:
                break
            asked = ballot(statement, work, rubric, number, images)
            client = self.clients[number % len(self.clients)]
            try:
                given = client.json(asked.messages, Given, temperature=self.temperature)
            except BadAnswer:
                poll.refused["schema"] += 1
                continue
            if problem := asked.problem(given):
                poll.refused[problem] += 1
            else:
                poll.votes.append(given)
        return poll

    def _compare(self, out: Verdict, statement: str, work: str, rubric: Rubric, images: Sequence[Json]) -> None:
        """Judge the whole work too, and flag the verdict where it fares better; the reward stays as it is."""
        whole = self._poll(statement, work, rubric, images)
        if whole.refused or not whole.votes:
            out.flags.append("injection_obeyed")
        elif (reward := _reward(whole, rubric)) > out.reward + OBEYED:
            out.flags.append("injection_obeyed")
            out.evidence["reward_of_the_whole"] = reward


def work_of(task: Task, trajectory: Trajectory, rubric: Rubric) -> str:
    """What of an attempt is judged, each part under a heading where there are several."""
    parts: Mapping[str, str] = {
        "answer": answer_of(trajectory),
        "patch": trajectory.patch or "",
        "actions": "\n".join(
            f"{action.tool} {' '.join(sorted(action.words))[:300]}"
            for action in actions(steps_of(trajectory, task.environment.workdir))
        ),
    }
    given = [(name, parts[name]) for name in rubric.judged if parts[name].strip()]
    return given[0][1] if len(given) == 1 else "\n\n".join(f"# {name}\n{text}" for name, text in given)


def _reward(poll: Poll, rubric: Rubric) -> float:
    """Weighted mean over the dimensions of the votes' median, in [0, 1]: one vote out of three moves nothing."""
    total = sum(dimension.weight for dimension in rubric.dimensions)
    points = sum(dimension.weight * median(poll.scores(dimension.name)) for dimension in rubric.dimensions)
    return round(points / (TOP * total), 6)


def _verdict(poll: Poll, rubric: Rubric, flags: list[str]) -> Verdict:
    reward = _reward(poll, rubric)
    scores = {dimension.name: poll.scores(dimension.name) for dimension in rubric.dimensions}
    apart = {name: max(given) - min(given) for name, given in scores.items()}
    worst = min(scores, key=lambda name: median(scores[name]))
    if torn := sorted(name for name, points in apart.items() if points >= APART):
        flags = [*flags, f"judges_disagree:{','.join(torn)}"]
    return Verdict(
        reward=reward,
        passed=reward >= rubric.passes,
        parts={"scores": {name: median(given) for name, given in scores.items()}},
        flags=flags,
        reason="passed" if reward >= rubric.passes else f"{reward:.2f} of 1 by the rubric; weakest: {worst}",
        evidence={
            "votes": scores,
            "disagreement": {name: round(pstdev(given), 3) for name, given in scores.items()},
            "reasons": {name: poll.votes[0].scores[name].reason[:300] for name in scores},
        },
    )
