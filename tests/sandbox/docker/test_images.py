"""An image that the engine does not have yet: pulled from a real registry, and built from a Dockerfile."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from katcore.errors import SandboxError
from katcore.sandbox import Spec
from katcore.sandbox.docker import exported
from katcore.sandbox.docker.sandbox import Docker
from tests.support.sandbox_cases import said
from tests.support.small_root import small_root

pytestmark = pytest.mark.slow

CONFIG = """version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage: {{filesystem: {{rootdirectory: {top}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. An engine takes one on loopback without certificates."""
    top = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (top / "config.yml").write_text(CONFIG.format(top=top / "data", port=port))
    server = subprocess.Popen(["docker-registry", "serve", top / "config.yml"], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
            break
        time.sleep(0.05)
    yield f"127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("pulled")
    return small_root(top / "root", top / "root.tar")


def docker(engine: str, *command: object) -> str:
    env = {**os.environ, "DOCKER_HOST": engine}
    done = subprocess.run(["docker", *map(str, command)], env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_an_image_is_pulled_once(engine: str, registry: str, archive: Path, repo: Path) -> None:
    name = f"{registry}/small/pulled"
    made = docker(engine, "import", "--change", "ENV GREETING=hello PATH=/usr/bin:/opt/no", archive, f"{name}:latest")
    docker(engine, "push", f"{name}:latest")
    docker(engine, "rmi", f"{name}:latest")
    box = Docker().create(Spec("test", repo=repo, image=name, env={"OWN": "1"}))
    try:
        assert said(box.exec("echo $GREETING $OWN $PATH; cat README")) == "hello 1 /usr/bin:/opt/no\ncontent of README"
    finally:
        box.close()
    assert f"sha256:{exported.digest(name)}" == made


def test_what_no_registry_has_is_one_line(engine: str, registry: str) -> None:
    with pytest.raises(SandboxError, match=r"has no image .*/small/none and cannot pull it") as raised:
        Docker().create(Spec("test", image=f"{registry}/small/none"))
    assert "\n" not in str(raised.value)


def test_an_image_is_built_from_a_dockerfile_and_its_files(engine: str, archive: Path) -> None:
    docker(engine, "import", archive, "small/base:1")
    images = exported.engine()
    text = 'FROM small/base:1\nWORKDIR /app\nCOPY run.sh data/ ./\nRUN ["/bin/bash", "/app/run.sh"]\n'
    context = {"run.sh": (b"echo built >/app/made\n", 0o755), "data/x": (b"y", 0o644), "unused": (b"z", 0o644)}
    name = images.build(text, context)
    assert images.build(text, context) == name
    box = Docker().create(Spec("test", workdir="/elsewhere", image=name))
    try:
        assert said(box.exec("cat /app/made /app/x; ls /app; ls -A")) == "built\nymade\nrun.sh\nx"
    finally:
        box.close()
    with pytest.raises(SandboxError, match="the Dockerfile cannot be built: COPY failed"):
        images.build("FROM small/base:1\nCOPY nothing /\n", {})
