"""Talk to the package index with the user's own pip and pip configuration.

In: requirements, or a lock. Out: pip's installation report, or downloaded wheels. Only wheels are touched on this
machine, so that no package's code runs outside a box. With a date, what an index says was uploaded later is not there;
sources that tell no upload times (local folders) are then left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from katcore.errors import KatError, RecordError
from katcore.source.pip_session import settings

Report = list[dict[str, Any]]
TIMEOUT_S = 900


class Unsatisfiable(Exception):
    """The index has no set of packages that meets the requirements."""


_UNSATISFIABLE = re.compile(
    r"No matching distribution|Could not find a version|ResolutionImpossible|conflicting dependencies"
    r"|Invalid requirement|requires a different Python|upload-time|InvalidRequirement|has invalid metadata"
    r"|Cannot install",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"Retrying \(Retry|HTTPError|ProxyError|ConnectionError|NewConnectionError|ReadTimeout|SSLError"
)


def _clean_environ() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PIP_REQUIRE_VIRTUALENV")}


def _pip(arguments: Sequence[str], env: Mapping[str, str]) -> bytes:
    command = [sys.executable, "-m", "pip", *arguments]
    with tempfile.TemporaryDirectory(prefix="kat-pip-") as folder:
        try:
            done = subprocess.run(
                command, env=dict(env), cwd=folder, capture_output=True, check=False, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise RecordError("environment", f"pip took more than {TIMEOUT_S} s") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace")
    if "No module named pip" in said:
        raise KatError("this Python has no pip", hint=f"{sys.executable} -m ensurepip")
    errors = "; ".join(line[7:] for line in said.splitlines() if line.startswith("ERROR: ")) or said.strip()[-500:]
    if _UNSATISFIABLE.search(said) and not _UNREACHABLE.search(said):
        raise Unsatisfiable(errors[:1000])
    raise RecordError("environment", f"pip failed: {errors[:1000]}")


def _dated_environ() -> dict[str, str]:
    """pip's environment with only those sources that can tell when a file was uploaded. Raises Unsatisfiable."""
    conf = settings()
    remote = [url for url in conf.indexes if url.startswith(("http://", "https://"))]
    if not remote or remote[0] != conf.indexes[0]:
        raise Unsatisfiable("the configured index tells no upload times")
    env = {key: value for key, value in _clean_environ().items() if not key.startswith("PIP_")}
    wanted = {
        "CONFIG_FILE": os.devnull,
        "INDEX_URL": remote[0],
        "EXTRA_INDEX_URL": " ".join(remote[1:]),
        "CERT": conf.cert,
        "CLIENT_CERT": conf.client_cert,
        "TRUSTED_HOST": " ".join(conf.trusted_hosts),
        "PROXY": conf.proxy,
        "DISABLE_PIP_VERSION_CHECK": "1",
    }
    return env | {f"PIP_{key}": value for key, value in wanted.items() if value}


def resolve(requirements: Sequence[str], before: str = "") -> Report:
    """The wheels that meet the requirements, `before` a time (RFC 3339) where given. Raises Unsatisfiable."""
    arguments = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-", "--only-binary", ":all:"]
    env = _clean_environ()
    if before:
        env = _dated_environ()
        arguments += ["--uploaded-prior-to", before]
    report = json.loads(_pip([*arguments, *requirements], env))
    return list(report["install"])


def download(lock: Sequence[str], folder: Path) -> None:
    """Fetch the locked wheels, each checked against its hash. Raises Unsatisfiable when one is not to be had."""
    if not lock:
        return
    listing = folder / "lock.txt"
    listing.write_text("\n".join(lock) + "\n", encoding="utf-8")
    flags = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    _pip([*flags, "--dest", str(folder), "--requirement", str(listing)], _clean_environ())
