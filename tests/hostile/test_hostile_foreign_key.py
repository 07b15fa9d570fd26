"""The gateway with another rollout's key, and with one's own after the end."""

from __future__ import annotations

import json

import pytest
from gateway_fakes import FakeEngine, opened
from sandbox_cases import Make, said

from katcore.gateway.server import Gateway
from katcore.sandbox import GATEWAY, PYTHON

CALL = f"""
import http.client, json, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect({GATEWAY!r})
connection = Unix('gateway')
body = json.dumps({{'model': 'm', 'messages': [{{'role': 'user', 'content': 'hi'}}]}})
headers = {{'Authorization': 'Bearer ' + sys.argv[1], 'Content-Type': 'application/json'}}
try:
    connection.request('POST', '/v1/chat/completions', body, headers)
    print(connection.getresponse().status)
except OSError as error:
    print(type(error).__name__)
"""

pytestmark = pytest.mark.slow


def test_foreign_key(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Gateway(tmp_path_factory.mktemp("journal")) as gateway:
        engine = FakeEngine(lambda n: "x")
        mine, other = opened(gateway, engine, "mine"), opened(gateway, engine, "other")
        box = make(socket=mine.socket)
        assert said(box.exec([PYTHON, "-c", CALL, mine.key])) == "200", "one's own key works"
        assert said(box.exec([PYTHON, "-c", CALL, other.key])) == "401"
        assert said(box.exec([PYTHON, "-c", CALL, "guess"])) == "401"
        assert json.dumps(engine.seen).count("hi") <= 1 or len(engine.seen) == 1


def test_a_call_after_the_deadline(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Gateway(tmp_path_factory.mktemp("journal")) as gateway:
        engine = FakeEngine(lambda n: "x")
        session = opened(gateway, engine, "late")
        box = make(socket=session.socket)
        assert said(box.exec([PYTHON, "-c", CALL, session.key])) == "200"
        calls = len(engine.seen)
        gateway.close_session(session)
        assert said(box.exec([PYTHON, "-c", CALL, session.key])) in (
            "409",
            "ConnectionRefusedError",
            "FileNotFoundError",
        )
        assert len(engine.seen) == calls
