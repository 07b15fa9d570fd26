"""An HTTP session for package indexes that is configured as the user's pip is.

In: pip's configuration files and `PIP_*`. Out: `settings()`, and a `session()` of requests with pip's certificates,
trusted hosts, proxy and credentials (in index URLs or netrc), which also reads `file:` URLs.
"""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True)
class IndexSettings:
    """The part of pip's configuration that concerns reading an index."""

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    cert: str = ""
    client_cert: str = ""
    trusted_hosts: tuple[str, ...] = ()
    proxy: str = ""
    timeout: float = 30.0


@cache
def settings() -> IndexSettings:
    """The settings as pip reads them from its files and environment; from `PIP_*` alone where pip is not installed."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    values: dict[str, str] = {}
    for line in done.stdout.splitlines() if done.returncode == 0 else []:
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in ("global", "download", "install"):
            values[option] = str(ast.literal_eval(value))
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            values[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    indexes = [values.get("index-url", PYPI_SIMPLE_ENDPOINT), *values.get("extra-index-url", "").split()]
    return IndexSettings(
        indexes=() if values.get("no-index", "").lower() in ("1", "true", "yes", "on") else tuple(indexes),
        find_links=tuple(values.get("find-links", "").split()),
        cert=values.get("cert", ""),
        client_cert=values.get("client-cert", ""),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        proxy=values.get("proxy", ""),
        timeout=float(values.get("timeout") or values.get("default-timeout") or 30),
    )


def session() -> requests.Session:
    """A session as pip would make it, which also reads `file:` URLs."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    made = requests.Session()
    conf = settings()
    made.verify = conf.cert or made.verify
    made.cert = conf.client_cert or None
    if conf.proxy:
        made.proxies = {"http": conf.proxy, "https": conf.proxy}
    retry = HTTPAdapter(max_retries=Retry(3, backoff_factor=0.3, status_forcelist=(500, 502, 503, 504)))
    made.mount("http://", retry)
    made.mount("https://", retry)
    for host in conf.trusted_hosts:
        made.mount(f"https://{host}/", _untrusting())
    made.mount("file://", _from_disk())
    made.auth = _login
    return made


def _login(request: Any) -> Any:
    """The request with an index's credentials, which go with every request to its host as in pip; else netrc's."""
    import requests

    host = urlsplit(request.url).netloc.rpartition("@")[2]
    for index in settings().indexes:
        parts = urlsplit(index)
        if parts.username and parts.netloc.rpartition("@")[2] == host:
            login = unquote(parts.username), unquote(parts.password or "")
            return requests.auth.HTTPBasicAuth(*login)(request)
    netrc = requests.utils.get_netrc_auth(request.url)
    return requests.auth.HTTPBasicAuth(*netrc)(request) if netrc else request


def _untrusting() -> Any:
    """The adapter for hosts that pip's user trusts without a certificate."""
    from requests.adapters import HTTPAdapter

    class Untrusting(HTTPAdapter):
        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, False, cert)  # type: ignore[no-untyped-call]

    return Untrusting()


def _from_disk() -> Any:
    """The adapter for `file:` URLs of an index on disk; a folder's page is its index.html."""
    import requests
    from requests.adapters import BaseAdapter

    class Disk(BaseAdapter):
        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            from urllib3 import HTTPResponse

            path = Path(unquote(urlsplit(request.url).path))
            path = path / "index.html" if path.is_dir() else path
            reply = requests.Response()
            reply.url, reply.request = request.url, request
            reply.status_code = 200 if path.is_file() else 404
            reply.headers["content-type"] = "text/html" if path.suffix == ".html" else "application/octet-stream"
            body = path.open("rb") if path.is_file() else io.BytesIO()
            reply.raw = HTTPResponse(body=body, preload_content=False, status=reply.status_code)
            return reply

        def close(self) -> None:
            pass

    return Disk()
