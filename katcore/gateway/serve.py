"""The gateway by itself, for agents that somebody else runs: keys out, trajectories in the end.

In: an engine's name and how many sessions. Out: for each a key and where to point a client, and its trajectory once it
is over. `recovered` makes trajectories of the journals of a gateway that was killed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from katcore.engine import Engine, SamplingParams
from katcore.engine.names import open_engine, parse
from katcore.engine.scripted import script
from katcore.engine.sglang import SGLangEngine
from katcore.errors import UsageError
from katcore.gateway import journal
from katcore.gateway.external import ExternalModel
from katcore.gateway.history import History
from katcore.gateway.model import Model, ScriptedModel, TokenModel
from katcore.gateway.process import prepare_process
from katcore.gateway.server import Gateway
from katcore.gateway.session import Caps, Session, Trace, cut_off
from katcore.model.folder import ChatModel, load
from katcore.model.placement import Placement
from katcore.records import Call, Exit, Json, Scaffold, Task, TaskSource, Trajectory, content_id

SCAFFOLD = "external"
"""The scaffold's name in records of an agent that KAT did not start."""


@dataclass(frozen=True)
class Serving:
    """What to serve. `upstream_model` is the model's name at an outside endpoint; empty: what the agent asks for.

    `key_variable` names the environment variable with the endpoint's key; empty: the provider's usual one. `placement`
    is the embedded engine's. Where the sessions are shared among processes, `numbers` are this one's, and `at` is the
    URL of the embedded engine that all of them ask.
    """

    engine: str
    model: Path | None
    sessions: int
    upstream_model: str
    key_variable: str
    caps: Caps
    sampling: SamplingParams
    agent_sampling: bool
    history: History
    seed: int
    placement: Placement
    numbers: tuple[int, ...] | None = None
    at: str = ""


class Served:
    """Sessions at a gateway; `close` ends them and tells what they left. The engine is closed with them."""

    def __init__(self, gateway: Gateway, serving: Serving) -> None:
        prepare_process()
        self.gateway, self.serving = gateway, serving
        self._engine: Engine | None = None
        self._external: ExternalModel | None = None
        self._started = time.monotonic()
        numbers = range(serving.sessions) if serving.numbers is None else serving.numbers
        self.sessions = [self._open(f"session-{number}") for number in numbers]

    def access(self) -> list[Json]:
        """What an agent needs: a key, and the base URLs that its client wants."""
        host = f"http://127.0.0.1:{self.gateway.port}"
        urls = {"openai_base_url": f"{host}/v1", "anthropic_base_url": host}
        return [{"name": s.id, "key": s.key, "socket": str(s.socket), **urls} for s in self.sessions]

    def close(self) -> Iterator[Trajectory]:
        """The trajectory of each session that made a call."""
        for session, trace in zip(self.sessions, self.gateway.close_sessions(self.sessions)):
            if trace.calls:
                chat = session.model.chat
                yield _trajectory(session.id, session.model.name, chat.digest if chat else "", trace)
        if self._engine is not None:
            self.gateway.call(self._engine.close())
        if self._external is not None:
            self.gateway.call(self._external.close())

    def forget(self) -> None:
        """Remove the journals, whose trajectories are written."""
        for session in self.sessions:
            session.journal.path.unlink(missing_ok=True)

    def said(self) -> list[str]:
        """Lines for people about what an outside endpoint was not given, or was taken to mean."""
        return [] if self._external is None else self._external.said()

    def table(self) -> list[str]:
        """The sessions as they are now, a line each, for somebody who watches."""
        head = f"{'session':<14}{'calls':>7}{'open':>6}{'tokens':>10}{'last':>8}  state"
        seconds = time.monotonic() - self._started
        state = "paused" if self.gateway.gate.paused else "serving"
        return [f"{state} for {seconds:.0f} s, {self.gateway.gate.running} generating", head, *map(_row, self.sessions)]

    def _open(self, name: str) -> Session:
        serving = self.serving
        return self.gateway.open(
            name,
            self._model(name),
            caps=serving.caps,
            sampling=serving.sampling,
            seed=serving.seed,
            agent_sampling=serving.agent_sampling or self._external is not None,
            history=serving.history,
        )

    def _model(self, name: str) -> Model:
        engine = parse(self.serving.engine)
        if engine.kind in ("openai", "anthropic"):
            kind: Literal["openai", "anthropic"] = "openai" if engine.kind == "openai" else "anthropic"
            label = f"{kind}:{self.serving.upstream_model or 'endpoint'}"
            asked = (self.serving.upstream_model, self.serving.key_variable)
            made = self._external or ExternalModel(kind, engine.value, label, *asked)
            self._external = made
            return made
        if self._folder is None and not engine.scripted:
            raise UsageError("no model folder", hint="--model names the one with the engine's tokenizer and template")
        if engine.scripted:
            task = Task(
                instance_id=name,
                repo="",
                base_commit="",
                created_at="1970-01-01T00:00:00Z",
                source=TaskSource(kind="inline"),
            )
            return ScriptedModel(script(self.serving.engine), self._chat, task, 0)
        if self._engine is None:
            self._engine = self._opened()
        return TokenModel(self._engine, self._chat, self._folder.resolve().name if self._folder else engine.kind)

    @property
    def _folder(self) -> Path | None:
        """The model's folder; None for the small one shipped with KAT."""
        engine = parse(self.serving.engine)
        return self.serving.model or (Path(engine.value) if engine.kind == "embedded" else None)

    @cached_property
    def _chat(self) -> ChatModel:
        """Tokenizer and template of all sessions: each that had its own would compile the template again."""
        return load(self._folder)

    def _opened(self) -> Engine:
        if self.serving.at:
            return SGLangEngine(self.serving.at, self.serving.engine)
        return self.gateway.call(open_engine(self.serving.engine, self.serving.placement))


def _row(session: Session) -> str:
    calls = session.calls
    last = f"{calls[-1].seconds:.1f} s" if calls else ""
    state = session.stop.kind if session.stop else ("failed" if calls and calls[-1].error else "")
    return f"{session.id:<14}{len(calls):>7}{session.in_flight:>6}{session.tokens:>10}{last:>8}  {state}".rstrip()


def recovered(folder: Path) -> Iterator[Trajectory]:
    """Trajectories from the journals of a gateway that was killed. What was being answered is a call with an error."""
    for path in sorted(folder.glob("*.jsonl")):
        found = journal.read_journal(path)
        if not found.header or not (found.calls or found.unfinished):
            continue
        name, model = str(found.header.get("id")), str(found.header.get("model"))
        cut = [
            Call(id=number, started_at="1970-01-01T00:00:00Z", engine=model, error="the gateway was killed")
            for number in found.unfinished
        ]
        trace = Trace(found.nodes, [*found.calls, *cut], Exit(kind="gateway", detail="the gateway was killed"))
        yield _trajectory(name, model, str(found.header.get("tokenizer") or ""), trace)


def _trajectory(name: str, model: str, tokenizer: str, trace: Trace) -> Trajectory:
    return Trajectory(
        id=content_id(name, model, *_starts(trace.calls)),
        task_id=name,
        group_id=name,
        scaffold=Scaffold(name=SCAFFOLD),
        model=model,
        tokenizer=tokenizer,
        nodes=trace.nodes,
        calls=trace.calls,
        exit=cut_off(trace, Exit()),
    )


def _starts(calls: Sequence[Call]) -> Iterator[str]:
    """The start time of the first call, if there is one: it tells apart sessions of one name."""
    yield from (call.started_at for call in calls[:1])
