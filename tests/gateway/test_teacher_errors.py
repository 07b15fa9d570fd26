"""Errors of outside endpoints: the agent's are passed on, passing ones are waited out, a bad key ends it at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from katcore.gateway.external import http
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session, cut_off
from katcore.records import Exit
from tests.support.gateway_fakes import CAPS
from tests.support.scripted_endpoint import Endpoint
from tests.support.teachers import DIALECTS, KINDS, Agent, refuses, says

Taught = Callable[..., tuple[Session, Endpoint]]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that an endpoint is left alone between two tries; nothing waits for them."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(http, "sleep", sleep)
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 404, 405, 413, 422, 451])
def test_what_is_the_agents_affair_is_passed_on(
    taught: Taught, gateway: Gateway, status: int, kind: str, dialect: str
) -> None:
    refusal = refuses(kind, status, "max_tokens: must be at least 3", "odd_code")
    session, served = taught(kind, *[refusal] * 4, says(kind), caps=replace(CAPS, failures=2))
    agent = Agent(session, dialect)
    for _ in range(4):
        message, code = agent.ask().error
        assert (agent.status, message) == (status, "max_tokens: must be at least 3")
        kinds = {404: "not_found_error", 413: "request_too_large"}
        assert code == (kinds.get(status, "invalid_request_error") if dialect == "anthropic" else "odd_code")
    assert len(served.requests) == 4, "it is not asked again"
    assert agent.ask().text == "Done.", "and it is no failure of the engine"
    trace = gateway.close_session(session)
    assert [str(call.error).partition(":")[0] for call in trace.calls] == ["Refused"] * 4 + ["None"]
    gave_up = replace(trace, calls=trace.calls[:4])
    assert cut_off(gave_up, Exit(kind="agent_error", detail="it gave up")) == Exit(
        kind="agent_error", detail="it gave up"
    )
    assert trace.stop is None


FORMS: list[tuple[Any, str]] = [
    ({"error": "plain"}, "plain"),
    ({"message": "top", "type": "x"}, "top"),
    ({"detail": "fast"}, "fast"),
    ({"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, '[{"loc":["body","n"],"msg":"bad"}]'),
    ([1, 2], "[1, 2]"),
]


@pytest.mark.parametrize(("form", "said"), FORMS)
def test_errors_of_any_form_are_told(taught: Taught, form: Any, said: str) -> None:
    session, _ = taught("openai", (400, json.dumps(form)))
    assert Agent(session, "openai-chat").ask().error[0] == said
    session, _ = taught("openai", (400, "not even JSON"))
    assert Agent(session, "openai-chat").ask().error == ("not even JSON", "invalid_request_error")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_that_is_too_long_is_told_as_such(taught: Taught, gateway: Gateway, kind: str, dialect: str) -> None:
    said = {
        "openai": "This model's maximum context length is 8 tokens.",
        "anthropic": "prompt is too long: 9 tokens > 8",
    }
    session, served = taught(kind, refuses(kind, 400, said[kind]))
    agent = Agent(session, dialect).ask()
    assert agent.status == 400 and len(served.requests) == 1
    if dialect == "anthropic":
        assert "prompt is too long" in agent.error[0]
    else:
        assert agent.error[1] == "context_length_exceeded"
    assert cut_off(gateway.close_session(session), Exit(kind="agent_error")).kind == "context"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_that_is_not_taken_ends_it_at_once(
    taught: Taught, gateway: Gateway, status: int, kind: str, dialect: str
) -> None:
    session, served = taught(kind, refuses(kind, status, "no: key-of-the-teacher"), says(kind))
    agent = Agent(session, dialect).ask()
    assert agent.status == 400 and str(status) in agent.error[0], "clients do not try this again"
    agent.ask()
    assert agent.status == 400 and len(served.requests) == 1
    trace = gateway.close_session(session)
    assert cut_off(trace, Exit(kind="agent_error")).kind == "engine"
    assert "key-of-the-teacher" not in repr(trace) + json.dumps(agent.answer), "some repeat the key"


def test_a_way_elsewhere_is_not_taken(taught: Taught) -> None:
    """Another address would be given the key."""
    session, served = taught("openai", (307, "", {"Location": "/v1/elsewhere"}))
    agent = Agent(session, "openai-chat").ask()
    assert agent.status == 503 and "307" in agent.error[0] and len(served.requests) == 1


def test_a_quota_that_is_used_up_is_not_waited_for(taught: Taught, gateway: Gateway) -> None:
    session, served = taught("openai", refuses("openai", 429, "you exceeded your quota", "insufficient_quota"))
    Agent(session, "openai-chat").ask()
    stop = gateway.close_session(session).stop
    assert len(served.requests) == 1 and stop is not None and stop.kind == "engine"


def test_how_long_to_wait_is_said_in_seconds_or_as_a_date(taught: Taught, pauses: list[float]) -> None:
    later = datetime.now(UTC) + timedelta(seconds=600)
    told = [{"Retry-After": "17"}, {"retry-after-ms": "1500"}, {"Retry-After": format_datetime(later, usegmt=True)}]
    told += [{"Retry-After": "2.5"}] * http.TRIES
    busy = refuses("openai", 429, "slow down")
    session, served = taught("openai", *[(*busy, headers) for headers in told], says("openai"))
    assert Agent(session, "openai-chat").ask().text == "Done.", "as often as the endpoint itself says when"
    assert pauses[:2] == [17.0, 1.5] and 300 < pauses[2] <= 600 and pauses[3:] == [2.5] * http.TRIES
    assert len(served.requests) == len(told) + 1


@pytest.mark.parametrize("odd", ["0", "-3", "soon", "", "Wed, 99 Foo 2020", "1e9e9", "0.01"])
def test_a_time_that_is_none_is_a_counted_try(taught: Taught, pauses: list[float], odd: str) -> None:
    session, served = taught("openai", (*refuses("openai", 503, "busy"), {"Retry-After": odd}))
    assert Agent(session, "openai-chat").ask().status == 503
    assert len(served.requests) == http.TRIES == len(pauses) + 1 and all(0 < pause < 1 for pause in pauses)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_time_behind_the_calls_own_is_not_waited_for(taught: Taught, pauses: list[float], dialect: str) -> None:
    busy = refuses("openai", 429, "tomorrow", "rate_limit_exceeded")
    session, served = taught("openai", (*busy, {"Retry-After": "86400"}), says("openai"))
    agent = Agent(session, dialect).ask()
    code = "rate_limit_error" if dialect == "anthropic" else "rate_limit_exceeded"
    assert agent.status == 429 and "tomorrow" in agent.error[0] and agent.error[1] == code
    assert agent.told["Retry-After"] == "86400", "the agent is told when to come again"
    assert pauses == [] and len(served.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529])
def test_what_passes_is_tried_again(taught: Taught, gateway: Gateway, kind: str, status: int) -> None:
    session, served = taught(kind, *[refuses(kind, status, "busy")] * (http.TRIES - 1), says(kind))
    assert Agent(session, "openai-chat").ask().text == "Done." and len(served.requests) == http.TRIES
    assert [call.error for call in gateway.close_session(session).calls] == [None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_breaks_is_tried_again(taught: Taught, kind: str) -> None:
    short = (200, '{"choi', {"Content-Length": "500"})
    session, _ = taught(kind, None, short, None, says(kind))
    assert Agent(session, "openai-chat").ask().text == "Done."


def test_one_that_stays_away_ends_the_rollout_as_an_engine(
    taught: Taught, gateway: Gateway, pauses: list[float]
) -> None:
    session, served = taught("openai", refuses("openai", 500, "broken"), caps=replace(CAPS, failures=2))
    agent = Agent(session, "openai-chat")
    assert agent.ask().status == 500 and agent.ask().status == 400 and len(served.requests) == 2 * http.TRIES
    trace = gateway.close_session(session)
    assert trace.stop is not None and trace.stop.kind == "engine" and "broken" in trace.stop.detail
