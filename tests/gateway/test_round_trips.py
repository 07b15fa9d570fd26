"""What clients of JavaScript and Python give back for what they were given: it is the same turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.gateway.messages import arguments_of, key_of
from katcore.gateway.server import Gateway
from tests.support.gateway_fakes import FakeEngine, opened, say

TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
USER = {"role": "user", "content": "Fix it."}


@pytest.mark.parametrize(
    ("sampled", "returned"),
    [
        ('{"a": 105.0}', '{"a":105}'),
        ('{"a": 1e3}', '{"a":1000}'),
        ('{"a": -0.0}', '{"a":0}'),
        ('{"a": 9007199254740993}', '{"a":9007199254740992}'),
        ('{"a": 12345678901234567890}', '{"a":12345678901234567000}'),
        ('{"a": 1e400}', '{"a":null}'),
        ('{"a": 0.1}', '{"a":0.10000000000000001}'),
        ("", "{}"),
        ('{"b": 1, "a": [2.0, {"c": 3.0}]}', '{"a":[2,{"c":3}],"b":1}'),
        ('{"a": "\\ud83d"}', '{"a":"\\ufffd"}'),
        ('{"\\ud83d": 1}', '{"\\ufffd":1}'),
    ],
)
def test_arguments_that_a_client_parses_and_writes_again(sampled: str, returned: str) -> None:
    assert arguments_of(sampled) == arguments_of(returned)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1.5}', '{"a": 1}'),
        ("[]", "{}"),
        ('{"a": 0}', "{}"),
    ],
)
def test_arguments_that_differ(one: str, other: str) -> None:
    assert arguments_of(one) != arguments_of(other)


def test_half_a_pair_is_replaced_in_text() -> None:
    assert key_of({"role": "user", "content": "a\ud83d"}) == key_of({"role": "user", "content": "a\ufffd"})


def test_arguments_of_any_depth() -> None:
    assert arguments_of("[" * 200_000) == "[" * 200_000


def test_a_turn_that_a_node_client_returns_is_the_same_turn(gateway: Gateway) -> None:
    made = '<tool_call>\n{"name": "bash", "arguments": {"timeout": 105.0, "big": 9007199254740993}}\n</tool_call>'
    engine = FakeEngine(lambda n: made if n == 0 else "Done.")
    session = opened(gateway, engine)
    answer = say(session, [USER], tools=TOOLS)
    back: dict[str, Any] = json.loads(json.dumps(answer))
    back["tool_calls"][0]["function"]["arguments"] = '{"timeout":105,"big":9007199254740992}'
    result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "x"}
    say(session, [USER, back, result], tools=TOOLS)
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"}
    known = engine.seen[0][0] + engine.seen[0][1]
    assert engine.seen[1][0][: len(known)] == known
