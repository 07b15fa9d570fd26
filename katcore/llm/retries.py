"""Retries of one request to an endpoint: urllib3's, mounted on a session of requests, with each try counted.

In: how many tries, the first pause, and what is to be called before each try but the first. Out: an answer, whole; or,
when the tries are used up, the last answer with its status, or requests' exception where none came. An endpoint is
asked again when it cannot be reached, breaks off, or answers with one of RETRIED, POST included: after the time that
its `Retry-After` names (seconds or a date), else after pauses that double, with jitter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InvalidHeader, MaxRetryError, ProtocolError
from urllib3.util import Retry

RETRIED = frozenset([408, 409, 425, 429, 500, 502, 503, 504, 529])
LONGEST_PAUSE_S = 60


class Retries(Retry):
    """urllib3's Retry that calls `before` before each retry and ignores a malformed `Retry-After`."""

    def __init__(self, *args: Any, before: Callable[[], None], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.before = before

    @classmethod
    def of(cls, tries: int, first_pause_s: float, before: Callable[[], None]) -> Retries:
        """Retries for `tries` tries in all, the first pause in seconds; what `before` raises ends them."""
        return cls(
            tries - 1,
            before=before,
            allowed_methods=None,
            status_forcelist=RETRIED,
            raise_on_status=False,
            backoff_factor=first_pause_s,
            backoff_jitter=first_pause_s,
            backoff_max=LONGEST_PAUSE_S,
        )

    def new(self, **settings: Any) -> Retries:
        """The state after a try, as urllib3 makes it, with `before` kept."""
        return super().new(before=self.before, **settings)

    def increment(self, *args: Any, **settings: Any) -> Retries:
        """The state with one try less. MaxRetryError when none is left."""
        left = super().increment(*args, **settings)
        self.before()
        return left

    def get_backoff_time(self) -> float:
        """Seconds to pause, also before the first retry, where urllib3 itself does not pause."""
        return super().get_backoff_time() or self.backoff_factor * random.uniform(0.75, 1.0)

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds, with fractions as some servers send them; 0 for what is neither seconds nor a date."""
        try:
            fractions = re.fullmatch(r"\s*\d{1,9}\.\d+\s*", retry_after)
            asked = float(retry_after) if fractions else super().parse_retry_after(retry_after)
        except (InvalidHeader, ValueError, OverflowError):
            return 0.0
        return min(asked, LONGEST_PAUSE_S)


def post(url: str, body: bytes, headers: dict[str, str], timeout_s: float, retries: Retries) -> requests.Response:
    """The last answer, read to its end. requests.RequestException."""
    while True:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retries))
            answer = session.post(url, data=body, headers=headers, timeout=timeout_s, stream=True)
            try:
                _ = answer.content
            except requests.RequestException as error:
                retries = _after(answer, error)
            else:
                return answer


def _after(answer: requests.Response, broken: requests.RequestException) -> Retries:
    """Pause and return the retries left when an answer broke off, which urllib3 leaves to its caller."""
    try:
        left: Retries = answer.raw.retries.increment("POST", answer.url, error=ProtocolError(str(broken)))
    except MaxRetryError:
        raise broken from None
    left.sleep()
    return left
