"""A box with a network, for building environments: it reaches what the user's pip reaches, and sees no more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.sandbox import PYTHON
from katcore.source import pip_session
from tests.support.sandbox_cases import KINDS, Make, said


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pip_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """Somebody whose pip reads a folder, a local index and a certificate, all in places of their own."""
    home = tmp_path / "home"
    places = {name: home / name for name in ("wheels", "index", "secret")}
    for place in places.values():
        place.mkdir(parents=True)
        (place / "file").write_text(place.name)
    (home / "ca.pem").write_text("certificate")
    for name in ("PIP_CONFIG_FILE", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PIP_FIND_LINKS", f"{places['wheels']} {home}")
    monkeypatch.setenv("PIP_INDEX_URL", places["index"].as_uri())
    monkeypatch.setenv("PIP_CERT", str(home / "ca.pem"))
    monkeypatch.setenv("PIP_TARGET", str(home / "target"))
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:1")
    pip_session.settings.cache_clear()
    yield {**places, "cert": home / "ca.pem", "home": home}
    pip_session.settings.cache_clear()


def test_what_pip_needs_is_shown_and_nothing_else(make: Make, pip_user: dict[str, Path]) -> None:
    box = make(network=True)
    shown = dict(line.split("=", 1) for line in said(box.exec(["env"])).splitlines())
    assert shown["PIP_INDEX_URL"] == pip_user["index"].as_uri()
    assert shown["https_proxy"] == "http://proxy.invalid:1"
    assert "PIP_TARGET" not in shown
    assert said(box.exec(["cat", *(str(pip_user[name] / "file") for name in ("wheels", "index"))])) == "wheelsindex"
    assert said(box.exec(["cat", shown["PIP_CERT"]])) == "certificate"
    assert box.exec(["touch", str(pip_user["wheels"] / "new")]).code != 0
    assert box.exec(["cat", str(pip_user["secret"] / "file")]).code != 0
    assert set(said(box.exec(["ls", str(pip_user["home"])])).split()) == {"ca.pem", "index", "wheels"}


def test_other_boxes_get_none_of_it(make: Make, pip_user: dict[str, Path]) -> None:
    box = make()
    assert b"PIP_" not in box.exec(["env"]).stdout and b"proxy" not in box.exec(["env"]).stdout
    assert box.exec(["ls", str(pip_user["wheels"])]).code != 0
    shown = box.exec(["find", "/etc/ssl", "-type", "f"]).stdout.split()
    assert {*shown} <= {b"/etc/ssl/certs/ca-certificates.crt"}, "certificates, no key"


def test_it_reaches_this_machine(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        assert make(network=True).exec([PYTHON, "-c", source]).code == 0
        assert make().exec([PYTHON, "-c", source]).code == 1
