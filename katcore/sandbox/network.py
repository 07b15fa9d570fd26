"""What a box with a network gets of the user's configuration: how to reach package indexes, and nothing else.

In: this process's environment and pip's configuration. Out: variables, and the files and folders they name, to be shown
read-only at the same paths. For building environments alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
SHOWN = ("/usr", "/etc/ssl", "/etc/pki", "/etc/ca-certificates")


def passed_on() -> tuple[dict[str, str], list[Path]]:
    """(environment variables on proxies and certificates for a box, the paths of this machine that they name)."""
    from katcore.source.pip_session import settings

    conf = settings()
    pip = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_INDEX_URL": conf.indexes[0] if conf.indexes else "",
        "PIP_EXTRA_INDEX_URL": " ".join(conf.indexes[1:]),
        "PIP_NO_INDEX": "" if conf.indexes else "1",
        "PIP_FIND_LINKS": " ".join(conf.find_links),
        "PIP_CERT": conf.cert,
        "PIP_CLIENT_CERT": conf.client_cert,
        "PIP_TRUSTED_HOST": " ".join(conf.trusted_hosts),
        "PIP_PROXY": conf.proxy,
    }
    names = [*CERTIFICATES, *PROXIES, *(name.upper() for name in PROXIES)]
    env = {name: value for name, value in pip.items() if value}
    env |= {name: os.environ[name] for name in names if os.environ.get(name)}
    words = [word for name, value in env.items() if name != "PIP_CONFIG_FILE" for word in value.split()]
    return env, sorted({path for word in words if (path := _path_of(word))})


def _path_of(word: str) -> Path | None:
    """The path in a variable's word, if the box does not see it anyhow; never one that would show a whole home."""
    path = Path(unquote(urlsplit(word).path) if word.startswith("file:") else word)
    if not path.is_absolute() or not path.exists() or path == Path("/") or Path.home().is_relative_to(path):
        return None
    shown = any(path.is_relative_to(folder) for folder in SHOWN) and not path.is_relative_to("/usr/local")
    return None if shown else path
