"""Bare requests to a session's socket, in any dialect."""

from __future__ import annotations

import json
from typing import Any

from katcore.gateway.session import Session
from tests.support.gateway_fakes import Socket

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def posted(session: Session, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Status and body of one request: parsed, or the bytes of a stream."""
    connection = Socket(str(session.socket))
    connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
    response = connection.getresponse()
    raw = response.read()
    streamed = response.headers.get_content_type() == "text/event-stream"
    connection.close()
    return response.status, raw if streamed else json.loads(raw)
