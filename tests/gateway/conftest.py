from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from katcore.gateway.external import ExternalModel
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from tests.support.gateway_fakes import opened
from tests.support.scripted_endpoint import Endpoint, Given, endpoint

Taught = Callable[..., tuple[Session, Endpoint]]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "journal") as running:
        yield running


@pytest.fixture
def taught(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Taught]:
    """Opens sessions with an outside endpoint each, which says its answers one after the other, the last one for ever.

    Its key is `key-of-the-teacher`. What is asked there is kept in the endpoint.
    """
    monkeypatch.setenv("TEACHER_KEY", "key-of-the-teacher")
    names = iter(range(1000))
    with ExitStack() as ends:

        def open_session(kind: Any, *answers: Given, **more: Any) -> tuple[Session, Endpoint]:
            left = list(answers)
            served = ends.enter_context(endpoint(lambda body: left.pop(0) if len(left) > 1 else left[0]))
            url = served.url if kind == "openai" else served.root
            model = ExternalModel(kind, url, f"{kind}:big", "big", "TEACHER_KEY", first_pause_s=0.01)
            ends.callback(lambda: gateway.call(model.close()))
            return opened(gateway, model, f"session-{next(names)}", **{"agent_sampling": True, **more}), served

        yield open_session


@pytest.fixture
def teach(taught: Taught) -> Callable[..., Session]:
    """The same, without the endpoint."""
    return lambda *given, **more: taught(*given, **more)[0]
