"""The stream of the Responses API: every item begins once and ends once, whatever of it was sent before the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.gateway.dialects import Reply, Request
from katcore.gateway.dialects.responses_events import ResponseEvents
from tests.support.gateway_fakes import sse

REASONING, TEXT = "Let me see.", "Yes, it is so."


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [("Let me", "")],
        [("Let me", ""), (" see.", "")],
        [("Let me", ""), (" see.", "Yes")],
        [("Let me see.", ""), ("", "Yes"), ("", ", it is so.")],
    ],
)
def test_each_item_begins_and_ends_once(sent: list[tuple[str, str]]) -> None:
    events = ResponseEvents(Request([], None), "1")
    reply = Reply("1", {"role": "assistant", "content": TEXT, "reasoning_content": REASONING}, "stop", 1, 1)
    raw = events.start() + b"".join(events.delta(*each) for each in sent) + b"".join(events.finish(reply))
    found: list[dict[str, Any]] = [json.loads(data) for data in sse(raw)]
    for kind in ("added", "done"):
        items = [(e["output_index"], e["item"]["type"]) for e in found if e["type"] == f"response.output_item.{kind}"]
        assert items == [(0, "reasoning"), (1, "message")]
    for name, whole in (("reasoning_text", REASONING), ("output_text", TEXT)):
        assert "".join(e["delta"] for e in found if e["type"] == f"response.{name}.delta") == whole
        assert [e["text"] for e in found if e["type"] == f"response.{name}.done"] == [whole]
