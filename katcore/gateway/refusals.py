"""Errors that an agent gets for a call, where the session refuses it or what answers does."""

from __future__ import annotations

from katcore.errors import EngineError
from katcore.gateway.dialects import BadRequest
from katcore.records import Exit

OVERFLOWED = "Stopped: context: "
"""How a call's error text begins when its prompt was too long for the context."""
REFUSED = "Refused: "
"""How a call's error text begins when an outside endpoint refused what the agent asked for."""


class Refused(BadRequest):
    """An outside endpoint refuses this request, in its own words: the agent's affair, and no failure of the engine."""


class Denied(EngineError):
    """An outside endpoint does not take the key, or nobody pays: no call can be answered."""


class Away(EngineError):
    """An outside endpoint is away or busy, after all tries; `status` and `word`, its error's code, are its own.

    `retry_after` are the seconds after which it says to come again, 0 where it says nothing.
    """

    def __init__(self, message: str, status: int, word: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.word, self.retry_after = status, word, retry_after


class Stopped(BadRequest):
    """The rollout has used up what it may use: the agent gets an error that its client does not retry."""

    def __init__(self, stop: Exit) -> None:
        code = "context_length_exceeded" if stop.kind == "context" else "rollout_stopped"
        super().__init__(f"{stop.kind}: {stop.detail}", code=code)


class Unavailable(BadRequest):
    """The engine did not answer: the agent's client may try again."""

    def __init__(self, reason: EngineError | str) -> None:
        if isinstance(reason, Away):
            super().__init__(str(reason), code=reason.word, status=reason.status, retry_after=reason.retry_after)
        else:
            super().__init__(str(reason), code="engine_error", status=503)


def overflow(detail: str) -> Stopped:
    """The error that refuses a too long prompt and not the rollout: many agents then shorten their history."""
    return Stopped(Exit(kind="context", detail=detail))
