"""LLM-as-judge: several votes on a rubric's dimensions, their weighted mean as the reward, their disagreement told.

In: a task with a rubric, an attempt, clients of OpenAI-compatible endpoints. Out: a verdict. Work is read as it looks
(`visible.py`) and judged in two views (`quoted.py`), in order and in another writing; each dimension counts by the view
in which it fares worse. Votes that fail a canary do not count (`ballot.py`). Where too few count, a neutral work is
judged: the attempt gets 0 if the votes on that count, and is masked if they do not either. Lines that speak to the
judge, as far as they are known, are left out; votes on the whole are had only to tell whether it would have obeyed.
"""

from __future__ import annotations

import base64
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median, pstdev

from katcore.disk.cache import cache_dir, locked
from katcore.disk.whole import write_whole
from katcore.errors import EngineError, UsageError
from katcore.llm import BadAnswer, Budget, BudgetSpent, Client
from katcore.records import Json, Task, Trajectory, Verdict
from katcore.references import actions, steps_of
from katcore.verify.answer import answer_of
from katcore.verify.ballot import Given, ballot, without_address
from katcore.verify.blank_image import white_like
from katcore.verify.grader import masked
from katcore.verify.options import JudgeOptions
from katcore.verify.quoted import LONGEST
from katcore.verify.rubric import TOP, Rubric, rubric_of
from katcore.verify.visible import hidden, visible

APART = 3
"""The difference in points, of 5, from which votes on one dimension are said to disagree."""
VIEWS_APART = 2
"""The difference in points from which the two views of a work are said to disagree."""
OBEYED = 0.1
"""How much more reward the whole work may get than the work without the lines that speak to its judge."""
MOST = 1_000_000
"""The most characters of a work that are looked at; LONGEST of them are shown."""
NEUTRAL = "This is a short piece of plain work. It says what was done, and nothing about who reads it.\n"
"""Work to which no judge objects, repeated to the length of the work beside which it is judged."""


@dataclass
class Poll:
    """Votes on one view of a work: those that count, and why the others do not."""

    votes: list[Given] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def scores(self, name: str) -> list[int]:
        """One dimension's scores, in the order of the votes."""
        return [vote.scores[name].score for vote in self.votes]


@dataclass(frozen=True)
class Question:
    """What is asked about one work; `images` are content parts of the OpenAI form."""

    statement: str
    work: Mapping[str, str]
    rubric: Rubric
    images: Sequence[Json] = ()
    marked: bool = False


def _secret() -> str:
    """A text that no attempt knows, the same in all runs on this machine, so that kept answers are found again."""
    final = cache_dir("judge") / "secret"
    with locked(final):
        if not final.is_file():
            write_whole(final, secrets.token_hex(32), 0o600)
    return final.read_text()


@dataclass(frozen=True)
class Judge:
    """`clients` take turns, so that several models make a panel; each view of a work gets `votes` of them."""

    clients: tuple[Client, ...]
    votes: int = JudgeOptions().votes
    temperature: float = 0.7
    secret: str = field(default_factory=_secret, repr=False)

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
        return self.judged(task.problem_statement, work, rubric)

    def judged(
        self, statement: str, work: str | Mapping[str, str], rubric: Rubric, images: Sequence[Json] = ()
    ) -> Verdict:
        """The verdict on any work, in parts by name or in one; `images` are content parts of the OpenAI form."""
        given = {"work": work} if isinstance(work, str) else work
        given = {name: _bounded(text) for name, text in given.items()}
        shown = {name: visible(text) for name, text in given.items()}
        if not images and not any(text.strip() for text in shown.values()):
            return Verdict(reason="no work to judge")
        clean = {name: without_address(text) for name, text in shown.items()}
        flags = [
            f"{name}:{count}"
            for name, count in (
                ("hidden_characters", sum(map(hidden, given.values()))),
                ("speaks_to_judge", sum(count for _, count in clean.values())),
            )
            if count
        ]
        asked = Question(statement, {name: text for name, (text, _) in clean.items()}, rubric, images)
        polls = list[Poll]()
        for view in (asked, replace(asked, marked=True)):
            poll = self._poll(view)
            if not self._enough(poll):
                if not self._enough(self._poll(_neutral(view), control=True)):
                    return self._failed(masked(""), poll, flags)
                poll = self._poll(view, fresh=True)  # what was kept may be of a time when nothing had votes
                if not self._enough(poll):
                    return self._failed(Verdict(), poll, flags)
            polls.append(poll)
        plain, marked = polls
        out = _verdict(plain, marked, rubric, flags)
        if any(count for _, count in clean.values()):
            self._compare(out, replace(asked, work=shown))
        return out

    def _compare(self, out: Verdict, asked: Question) -> None:
        """Judge the whole work too, and flag the verdict where it fares better; the reward stays as it is."""
        whole = self._poll(asked)
        if whole.refused or not whole.votes:
            out.flags.append("injection_obeyed")
        elif (reward := _reward(_medians(whole, asked.rubric), asked.rubric)) > out.reward + OBEYED:
            out.flags.append("injection_obeyed")
            out.evidence["reward_of_the_whole"] = reward

    def _enough(self, poll: Poll) -> bool:
        return 2 * len(poll.votes) > self.votes

    def _poll(self, asked: Question, *, fresh: bool = False, control: bool = False) -> Poll:
        """Ask until `votes` votes count, at most twice as many times. `fresh` and a `control` take nothing kept."""
        poll = Poll()
        for number in range(2 * self.votes):
            if len(poll.votes) == self.votes:
                break
            client = self.clients[(number + asked.marked) % len(self.clients)]
            client = replace(client, reuse=False) if fresh or control else client
            if problem := self._vote(asked, number, client, poll, control):
                poll.refused[problem] += 1
        return poll

    def _vote(self, asked: Question, number: int, client: Client, poll: Poll, control: bool) -> str:
        """Put one vote into the poll; returns why it does not count. EngineError when the endpoint answers nobody."""
        it = ballot(
            asked.statement, asked.work, asked.rubric, number, asked.images, secret=self.secret, marked=asked.marked
        )
        try:
            given = client.json(it.messages, Given, temperature=self.temperature)
        except BadAnswer:
            return "schema"
        except BudgetSpent:
            raise
        except EngineError:
            if control:
                raise
            if not poll.refused["endpoint"]:  # does it answer anybody?
                self._vote(_neutral(asked), number, replace(client, reuse=False), Poll(), control=True)
            return "endpoint"
        problem = it.problem(given)
        if not problem:
            poll.votes.append(given)
        return problem

    def _failed(self, out: Verdict, poll: Poll, flags: list[str]) -> Verdict:
        """The verdict where too few votes count: masked, or 0 where those on a neutral work do."""
        out.reason = f"judge: {len(poll.votes)} of {self.votes} votes count: {dict(poll.refused)}"
        out.reason += "" if out.masked else "; on a neutral work they do"
        out.flags = [*flags, *_refusals(poll)]
        return out


def _bounded(text: str) -> str:
    """The text without the middle of what is far longer than what a judge sees."""
    return text if len(text) <= MOST else text[: MOST // 2] + text[-MOST // 2 :]


def work_of(task: Task, trajectory: Trajectory, rubric: Rubric) -> dict[str, str]:
    """What of an attempt is judged, by the name of each part that is not empty."""
    parts: Mapping[str, str] = {
        "answer": answer_of(trajectory),
        "patch": trajectory.patch or "",
        "actions": "\n".join(
            f"{action.tool} {' '.join(sorted(action.words))[:300]}"
            for action in actions(steps_of(trajectory, task.environment.workdir))
        ),
    }
    return {name: parts[name] for name in rubric.judged if parts[name].strip()}


def _neutral(asked: Question) -> Question:
    """The same question about work that nobody could object to: as long, with as many images, as large."""
    length = min(LONGEST, max(map(len, asked.work.values()), default=0))
    text = NEUTRAL * (1 + length // len(NEUTRAL))
    return replace(asked, work={"work": text}, images=[_blank(part) for part in asked.images])


def _blank(part: Json) -> Json:
    """A content part with its image, a PNG, made white."""
    url = str((part.get("image_url") or {}).get("url") or "")
    kind, _, data = url.partition(",")
    if not kind.endswith("png;base64"):
        return part
    return {**part, "image_url": {"url": f"{kind},{base64.b64encode(white_like(base64.b64decode(data))).decode()}"}}


def _refusals(*polls: Poll) -> list[str]:
    refused = sum((poll.refused for poll in polls), Counter[str]())
    return [f"vote_refused:{why}:{count}" for why, count in sorted(refused.items())]


def _verdict(plain: Poll, marked: Poll, rubric: Rubric, flags: list[str]) -> Verdict:
    one, other = _medians(plain, rubric), _medians(marked, rubric)
    scores = {name: min(one[name], other[name]) for name in one}
    every = {name: [*plain.scores(name), *marked.scores(name)] for name in one}
    flags = [*flags, *_refusals(plain, marked)]
    apart = {name: max(_range(plain.scores(name)), _range(marked.scores(name))) for name in one}
    if torn := sorted(name for name, points in apart.items() if points >= APART):
        flags.append(f"judges_disagree:{','.join(torn)}")
    if torn := sorted(name for name in one if abs(one[name] - other[name]) >= VIEWS_APART):
        flags.append(f"views_disagree:{','.join(torn)}")
    reward = _reward(scores, rubric)
    worst = min(scores, key=lambda name: scores[name])
    return Verdict(
        reward=reward,
        passed=reward >= rubric.passes,
        parts={"scores": scores},
        flags=flags,
        reason="passed" if reward >= rubric.passes else f"{reward:.2f} of 1 by the rubric; weakest: {worst}",
        evidence={
            "votes": {name: plain.scores(name) for name in one},
            "marked_votes": {name: marked.scores(name) for name in one},
            "disagreement": {name: round(pstdev(given), 3) for name, given in every.items()},
            "reasons": {name: plain.votes[0].scores[name].reason[:300] for name in one},
        },
    )


def _medians(poll: Poll, rubric: Rubric) -> dict[str, float]:
    """The median of each dimension's votes: one vote out of three moves nothing."""
    return {dimension.name: median(poll.scores(dimension.name)) for dimension in rubric.dimensions}


def _reward(scores: Mapping[str, float], rubric: Rubric) -> float:
    """The dimensions' weighted mean, in [0, 1]."""
    total = sum(dimension.weight for dimension in rubric.dimensions)
    points = sum(dimension.weight * scores[dimension.name] for dimension in rubric.dimensions)
    return round(points / (TOP * total), 6)


def _range(scores: Sequence[int]) -> int:
    return max(scores) - min(scores)
