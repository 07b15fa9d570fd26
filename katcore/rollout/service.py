"""What the rollouts of one process share: one engine, one gateway, one kind of box, one tokenizer.

In: options, and an engine if the caller owns one (its weights may change between rollouts). Out: sessions and boxes.
"""

from __future__ import annotations

import asyncio
import copy
import os
import secrets
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

from katcore.disk.cache import cache_dir
from katcore.engine import Engine, SamplingParams
from katcore.engine.names import open_engine, parse
from katcore.engine.scripted import Script, script
from katcore.errors import InputError
from katcore.gateway.external import ExternalModel
from katcore.gateway.hook import Hook, by_references
from katcore.gateway.model import Model, ScriptedModel, TokenModel
from katcore.gateway.process import prepare_process
from katcore.gateway.server import Gateway
from katcore.gateway.session import Caps, Session
from katcore.model.files import read_json
from katcore.model.folder import ChatModel, load
from katcore.pool import seed_for
from katcore.records import Task, Trajectory, item_key
from katcore.references import references_of
from katcore.rollout.attempts import Attempt, Setup
from katcore.rollout.correction import Correction
from katcore.sandbox import Sandbox, sandbox
from katcore.scaffold import Scaffold, scaffold

UNLIMITED = 1 << 30
ENGINE_S = 1.5
"""Seconds for an engine of our own to end."""
KEPT_S = 7 * 24 * 3600
"""Seconds for which the journals of a killed process are kept: a week."""


class Service:
    """Engine, gateway and boxes of rollouts: made once, used from many threads, closed once.

    An engine that the caller gives stays open.
    """

    def __init__(self, setup: Setup, engine: Engine | None = None) -> None:
        prepare_process()
        self.setup = setup
        self.chat: ChatModel = load(setup.model_folder())
        self.scaffold: Scaffold = scaffold(setup.options.agent.scaffold, setup.table)
        self.sandbox: Sandbox = sandbox(setup.sandbox)
        self.script: Script | None = None
        self.caps = _caps(setup)
        references = setup.options.correction.references
        self.correction = Correction(references, setup.rules) if references else None
        self._ours: Engine | ExternalModel | None = None
        self.external: ExternalModel | None = None
        name = setup.engine_name() if engine is None else engine.name
        if engine is None and parse(name).scripted:
            self.script = script(name)
        own = f"{os.getpid()}-{secrets.token_hex(4)}"
        journals = Path(setup.journals) if setup.journals else cache_dir("journal") / own
        self.gateway = Gateway(journals, sync=setup.options.fsync)
        try:
            if engine is None and (kind := setup.external()) is not None:
                asked = setup.options.endpoint
                label = f"{kind}:{asked.upstream_model}"
                made = ExternalModel(kind, parse(name).value, label, asked.upstream_model, asked.key_variable)
                self._ours = self.external = made
            elif engine is None and self.script is None:
                engine = self._ours = self.gateway.call(open_engine(name, setup.placement))
            self.engine = engine
            self._check_tokenizer()
        except BaseException:
            self.close()
            raise

    def open(self, attempt: Attempt) -> Session:
        """The gateway's session of one rollout."""
        options = self.setup.options
        drawn = options.sampling
        sampling = SamplingParams(temperature=drawn.temperature, top_p=drawn.top_p, top_k=drawn.top_k)
        return self.gateway.open(
            attempt.name,
            self._model(attempt),
            caps=self.caps,
            sampling=sampling,
            seed=seed_for(self.setup.seed, item_key(Trajectory, attempt.name)),
            rules=self.scaffold.outcome,
            agent_sampling=options.agent_sampling or self.external is not None,
            history=options.history,
            hook=self._hook(attempt.task),
        )

    @property
    def tokenizer(self) -> str:
        """The digest that trajectories carry; empty where an outside endpoint tells no tokens."""
        return "" if self.external is not None else self.chat.digest

    def at(self, setup: Setup) -> Service:
        """This service's engine, gateway and boxes under other options; scaffold, model folder and sandbox stay."""
        other = copy.copy(self)
        other.setup, other.caps = setup, _caps(setup)
        return other

    def update_weights(self, folder: str, version: str) -> None:
        """Let the engine sample from the weights in `folder`, and call them `version`; calls in flight go on so."""
        assert self.engine is not None
        self.gateway.update_weights(self.engine, folder, version)

    def close(self) -> None:
        """End the gateway and the engine, if it is ours. May be called twice.

        Rollouts under way end first, all together: an engine that goes away under a call would be tried again. An
        engine in the middle of a long step is not waited for.
        """
        if self._ours is not None:
            self.gateway.cut()
            with suppress(TimeoutError):
                self.gateway.call(asyncio.wait_for(self._ours.close(), ENGINE_S))
            self._ours = None
        self.gateway.close()
        self.forget()

    def forget(self) -> None:
        """Remove the calls' journals where the caller looks after none."""
        if not self.setup.journals:
            _forget(self.gateway.journals)

    def _hook(self, task: Task) -> Hook | None:
        """The hook that looks at each step of the task's rollouts; None without references."""
        if self.setup.rules.idle:
            return None
        if self.correction is not None:
            return self.correction.hook(task)
        references = references_of(task)
        return by_references(references, self.setup.rules, task.environment.workdir) if references else None

    def _model(self, attempt: Attempt) -> Model:
        if self.script is not None:  # a script knows draws as further samples
            number = attempt.sample + attempt.draw * self.setup.options.number.samples
            return ScriptedModel(self.script, self.chat, attempt.task, number)
        if self.external is not None:
            return self.external
        assert self.engine is not None
        return TokenModel(self.engine, self.chat, self.setup.model_name())

    def _check_tokenizer(self) -> None:
        """InputError where the engine has another tokenizer than ours, to which the ids mean something else."""
        ask = getattr(self.engine, "model_info", None)
        if ask is None:
            return
        theirs = self.gateway.call(ask()).get("tokenizer_digest")
        if theirs and theirs != self.chat.digest:
            raise InputError(
                "the engine's model has another tokenizer or chat template", hint="--model names its folder"
            )


def _caps(setup: Setup) -> Caps:
    caps = setup.options.caps
    folder: Path | None = setup.model_folder()
    stated = read_json(folder / "config.json").get("max_position_embeddings") if folder else None
    return Caps(
        calls=caps.max_turns + 1,  # the agent's own cap comes first
        tokens=caps.max_tokens,
        seconds=setup.options.times.timeout,
        context=caps.context or (stated if isinstance(stated, int) else UNLIMITED),
        completion=caps.max_completion,
    )


def _forget(own: Path) -> None:
    """Remove this process's journals, whose trajectories are written, and those of processes killed a week ago."""
    for folder in own.parent.iterdir() if own.parent.is_dir() else ():
        old = (
            folder.stat().st_mtime < time.time() - KEPT_S and not Path("/proc", folder.name.partition("-")[0]).exists()
        )
        if folder == own or old:
            shutil.rmtree(folder, ignore_errors=True)


_LOCK = threading.Lock()
_SERVICES: dict[Setup, Service] = {}


def shared(setup: Setup) -> Service:
    """The service with this setup in this process, made at first use."""
    with _LOCK:
        if setup not in _SERVICES:
            _SERVICES[setup] = Service(setup)
        return _SERVICES[setup]


def running(setup: Setup) -> Service | None:
    """The service with this setup in this process, if it has been made."""
    return _SERVICES.get(setup)


def close_shared(setup: Setup) -> None:
    """Close the service with this setup in this process, if it was made."""
    with _LOCK:
        service = _SERVICES.pop(setup, None)
    if service is not None:
        service.close()
