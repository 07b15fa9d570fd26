"""What the rollouts of one process share: one engine, one gateway, one kind of box, one tokenizer.

In: options, and an engine if the caller owns one (its weights may change between rollouts). Out: sessions and boxes.
"""

from __future__ import annotations

import copy
import os
import secrets
import shutil
import threading
import time
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
from katcore.rollout.attempts import Attempt, Options
from katcore.rollout.correction import Correction
from katcore.sandbox import Sandbox, sandbox
from katcore.scaffold import Scaffold, scaffold

UNLIMITED = 1 << 30
KEPT_S = 7 * 24 * 3600
"""How long the journals of a killed process stay."""


class Service:
    """Made once, used from many threads, closed once. An engine that is given stays open."""

    def __init__(self, options: Options, engine: Engine | None = None) -> None:
        prepare_process()
        self.options = options
        self.chat: ChatModel = load(options.model_folder())
        self.scaffold: Scaffold = scaffold(options.scaffold, options.table)
        self.sandbox: Sandbox = sandbox(options.sandbox)
        self.script: Script | None = None
        self.caps = _caps(options)
        self.correction = Correction(options.references, options.rules) if options.references else None
        self._ours: Engine | ExternalModel | None = None
        self.external: ExternalModel | None = None
        name = options.engine_name() if engine is None else engine.name
        if engine is None and parse(name).scripted:
            self.script = script(name)
        own = f"{os.getpid()}-{secrets.token_hex(4)}"
        journals = Path(options.journals) if options.journals else cache_dir("journal") / own
        self.gateway = Gateway(journals, sync=options.sync)
        try:
            if engine is None and (kind := options.external()) is not None:
                url, label = parse(name).value, f"{kind}:{options.upstream_model}"
                made = ExternalModel(kind, url, label, options.upstream_model, options.key_variable)
                self._ours = self.external = made
            elif engine is None and self.script is None:
                engine = self._ours = self.gateway.call(open_engine(name))
            self.engine = engine
            self._check_tokenizer()
        except BaseException:
            self.close()
            raise

    def open(self, attempt: Attempt) -> Session:
        """The gateway's session of one rollout."""
        options = self.options
        sampling = SamplingParams(temperature=options.temperature, top_p=options.top_p, top_k=options.top_k)
        return self.gateway.open(
            attempt.name,
            self._model(attempt),
            caps=self.caps,
            sampling=sampling,
            seed=seed_for(options.seed, item_key(Trajectory, attempt.name)),
            outcome=self.scaffold.outcome,
            agent_sampling=options.agent_sampling or self.external is not None,
            history=options.history,
            hook=self._hook(attempt.task),
        )

    @property
    def tokenizer(self) -> str:
        """The digest that trajectories carry; empty where an outside endpoint tells no tokens."""
        return "" if self.external is not None else self.chat.digest

    def at(self, options: Options) -> Service:
        """The same engine, gateway and boxes under other options; scaffold, model folder and sandbox stay."""
        other = copy.copy(self)
        other.options, other.caps = options, _caps(options)
        return other

    def update_weights(self, folder: str, version: str) -> None:
        """Let the engine sample from the weights in `folder`, and call them `version`; calls in flight go on so."""
        assert self.engine is not None
        self.gateway.update_weights(self.engine, folder, version)

    def close(self) -> None:
        """End the gateway and the engine, if it is ours. May be called twice."""
        if self._ours is not None:
            self.gateway.call(self._ours.close())
            self._ours = None
        self.gateway.close()
        if not self.options.journals:
            _forget(self.gateway.journals)

    def _hook(self, task: Task) -> Hook | None:
        """What looks at each step; without references there is nothing to be far from."""
        if self.options.rules.idle:
            return None
        if self.correction is not None:
            return self.correction.hook(task)
        references = references_of(task)
        return by_references(references, self.options.rules, task.environment.workdir) if references else None

    def _model(self, attempt: Attempt) -> Model:
        if self.script is not None:  # a script knows draws as further samples
            number = attempt.sample + attempt.draw * self.options.samples
            return ScriptedModel(self.script, self.chat, attempt.task, number)
        if self.external is not None:
            return self.external
        assert self.engine is not None
        return TokenModel(self.engine, self.chat, self.options.model_name())

    def _check_tokenizer(self) -> None:
        """An engine that knows its tokenizer must have ours: else ids mean something else to it."""
        ask = getattr(self.engine, "model_info", None)
        if ask is None:
            return
        theirs = self.gateway.call(ask()).get("tokenizer_digest")
        if theirs and theirs != self.chat.digest:
            raise InputError(
                "the engine's model has another tokenizer or chat template", hint="--model names its folder"
            )


def _caps(options: Options) -> Caps:
    folder: Path | None = options.model_folder()
    stated = read_json(folder / "config.json").get("max_position_embeddings") if folder else None
    context = options.context or (stated if isinstance(stated, int) else UNLIMITED)
    return Caps(
        calls=options.max_turns + 1,  # the agent's own cap comes first
        tokens=options.max_tokens,
        seconds=options.timeout_s,
        context=context,
        completion=options.max_completion,
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
_SERVICES: dict[Options, Service] = {}


def shared(options: Options) -> Service:
    """The service with these options in this process, made at first use."""
    with _LOCK:
        if options not in _SERVICES:
            _SERVICES[options] = Service(options)
        return _SERVICES[options]


def running(options: Options) -> Service | None:
    """The service with these options in this process, if it has been made."""
    return _SERVICES.get(options)


def close_shared(options: Options) -> None:
    """Close that service, if it was made."""
    with _LOCK:
        service = _SERVICES.pop(options, None)
    if service is not None:
        service.close()
