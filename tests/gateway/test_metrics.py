"""What a gateway counts, apart from every other one, and how it is written for who asks."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from katcore.gateway.metrics import Metrics
from katcore.gateway.server import Gateway
from katcore.records import Call
from tests.support.gateway_fakes import FakeEngine, opened, say


def test_two_gateways_count_apart(tmp_path: Path) -> None:
    engine = FakeEngine(lambda n: "x")
    with Gateway(tmp_path / "a") as first, Gateway(tmp_path / "b") as second:
        say(opened(first, engine), [{"role": "user", "content": "Fix it."}])
        assert (first.metrics.calls(), first.metrics.tokens("prompt")) == (1, len(engine.seen[0][0]))
        assert (second.metrics.calls(), second.metrics.tokens("prompt")) == (0, 0)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("", "text/plain; version=0.0.4"), ("application/openmetrics-text", "application/openmetrics-text")],
)
def test_metrics_are_written_as_the_reader_accepts(tmp_path: Path, accept: str, content_type: str) -> None:
    with Gateway(tmp_path, metrics=("127.0.0.1", 0)) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.metrics_port)
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        assert response.headers["Content-Type"].startswith(content_type)
        assert response.read().endswith(b"# EOF\n") == ("openmetrics" in accept)


def test_an_endpoint_that_counts_below_nothing_is_counted_as_nothing() -> None:
    metrics = Metrics()
    call = Call(id=0, started_at="2025-01-01T00:00:00Z", usage={"prompt_tokens": 3, "completion_tokens": -2})
    metrics.answered(call)
    assert (metrics.tokens("prompt"), metrics.tokens("completion"), metrics.calls()) == (3, 0, 1)


def test_names_of_labels_that_come_from_outside_are_escaped() -> None:
    metrics = Metrics()
    metrics.answered(Call(id=0, started_at="2025-01-01T00:00:00Z", error='Odd"\n: x'))
    assert rb'result="odd\"\n"' in metrics.exposition("")[0]
