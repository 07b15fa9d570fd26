"""The Docker SDK's errors as ours: one line, no stack of HTTP.

In: calls of the SDK. Out: SandboxError. The SDK is imported when it is used: it takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from katcore.errors import SandboxError

TIMEOUT_S = 120
"""Seconds for one call of the API; streams have deadlines of their own."""


@contextmanager
def api_errors(what: str) -> Iterator[None]:
    """Raise SandboxError for what the engine, the SDK or the connection to it reports."""
    import requests
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, requests.RequestException) as error:
        said = getattr(error, "explanation", None) or str(error)
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise SandboxError(f"{what}: {' '.join(said.split())[:300]}") from error


def connect() -> Any:
    """A client of the engine that `DOCKER_HOST` names, else the local one. Raises SandboxError."""
    import docker
    from docker.utils import kwargs_from_env

    with api_errors("no Docker engine answers"):
        return docker.APIClient(version="auto", timeout=TIMEOUT_S, max_pool_size=64, **kwargs_from_env())


def is_local(client: Any) -> bool:
    """Whether the engine sees this machine's files: it is spoken to through a unix socket."""
    return str(client.base_url).startswith("http+docker://") and "ssh" not in str(client.base_url)
