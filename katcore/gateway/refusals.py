"""Errors that an agent gets for a call, where it is the session that refuses it."""

from __future__ import annotations

from katcore.gateway.dialects import BadRequest
from katcore.records import Exit

OVERFLOWED = "Stopped: context: "
"""How a call's error text begins when its prompt was too long for the context."""


class Stopped(BadRequest):
    """The rollout has used up what it may use: the agent gets an error that its client does not retry."""

    def __init__(self, stop: Exit) -> None:
        code = "context_length_exceeded" if stop.kind == "context" else "rollout_stopped"
        super().__init__(f"{stop.kind}: {stop.detail}", code=code)


class Unavailable(BadRequest):
    """The engine did not answer: the agent's client may try again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, code="engine_error", status=503)


def overflow(detail: str) -> Stopped:
    """The error that refuses a too long prompt and not the rollout: many agents then shorten their history."""
    return Stopped(Exit(kind="context", detail=detail))
