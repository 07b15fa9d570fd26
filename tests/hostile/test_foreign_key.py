"""The gateway with another rollout's key, and with one's own after the end."""

from __future__ import annotations

import threading
import time

import pytest

from katcore.gateway.server import Gateway
from katcore.sandbox import GATEWAY, PYTHON
from tests.support.gateway_fakes import FakeEngine, opened
from tests.support.sandbox_cases import Make, said

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
        assert len(engine.seen) == 1


def test_a_call_after_the_deadline(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By a process that still has the socket open, and by one that comes with a dead key to a living session's."""
    with Gateway(tmp_path_factory.mktemp("journal")) as gateway:
        engine = FakeEngine(lambda n: "x")
        late, other = opened(gateway, engine, "late"), opened(gateway, engine, "other")
        box = make(socket=late.socket)
        answers: list[str] = []
        thread = threading.Thread(
            target=lambda: answers.append(
                said(box.exec([PYTHON, "-c", f"import time\ntime.sleep(1.5)\n{CALL}", late.key]))
            )
        )
        assert said(box.exec([PYTHON, "-c", CALL, late.key])) == "200", "before, it works"
        thread.start()
        time.sleep(0.7)
        gateway.close_session(late)
        thread.join()
        assert answers == ["ConnectionRefusedError"] or answers == ["409"]
        assert said(make(socket=other.socket).exec([PYTHON, "-c", CALL, late.key])) == "409"
        assert len(engine.seen) == 1
