"""Root file systems from a tarball, layers of images, exact digests, eviction: with a real engine and real boxes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.errors import InputError, SandboxError, UsageError
from katcore.sandbox import ENV, PYTHON, Box, Mount, Sandbox, Spec, root_image, sandbox, sandbox_name
from katcore.sandbox.bubblewrap import Bubblewrap
from katcore.sandbox.docker import exported
from katcore.sandbox.docker.sandbox import Docker
from tests.support.sandbox_cases import said
from tests.support.small_root import small_root

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tarball of a few programs of this machine with their libraries."""
    top = tmp_path_factory.mktemp("root")
    return small_root(top, top.parent / "root.tar", fill=lambda at: write(at / "etc/release", "a small one\n"))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def opened() -> Iterator[list[Box]]:
    boxes: list[Box] = []
    yield boxes
    for box in boxes:
        box.close()


@pytest.mark.parametrize("kind", ["bubblewrap", "docker"])
def test_a_root_file_system_from_a_tarball(
    kind: str, root: Path, repo: Path, opened: list[Box], request: pytest.FixtureRequest
) -> None:
    if kind == "docker":
        request.getfixturevalue("engine")
    boxes: Sandbox = Docker(base=root) if kind == "docker" else Bubblewrap(root=root)
    opened.append(box := boxes.create(Spec("test", repo=repo)))
    assert said(box.exec("cat /etc/release README; ls /usr/bin | head -c 4; id -u")).split("\n") == [
        "a small one", "content of README", "bash65534",
    ]  # fmt: skip
    assert said(box.exec([PYTHON, "-c", "print(1)"])) == "1"
    box.put("new", b"x")
    assert box.get("new") == b"x" and box.changed() == ["new"]
    assert box.exec("echo x >/etc/release").code != 0


def test_what_is_no_root_file_system_is_refused(tmp_path: Path, repo: Path, engine: str) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive")
    for boxes in (Bubblewrap(root=tmp_path / "x.tar"), Bubblewrap(root=repo), Docker(base=tmp_path / "none")):
        with pytest.raises(SandboxError, match=r"root file system|unpacked"):
            boxes.create(Spec("test"))  # type: ignore[attr-defined]
    with pytest.raises(SandboxError, match="has no image no-such-image"):
        Docker(base="no-such-image:1").create(Spec("test"))


def test_layers_are_shared_and_named_by_their_content(
    root: Path, repo: Path, engine: str, tmp_path: Path, opened: list[Box]
) -> None:
    """As with a remote engine: interpreter, dependencies and repository are layers, nothing is mounted."""
    env = tmp_path / "env"
    (env / "bin").mkdir(parents=True)
    (env / "bin" / "tool").write_text("#!/bin/sh\necho tool\n")
    (env / "bin" / "tool").chmod(0o755)
    docker = Docker(base=root, layered=True)
    spec = Spec("test", repo=repo, mounts=(Mount(env, ENV),))
    opened += [docker.create(spec), docker.create(spec)]
    first, second = (docker.client.inspect_container(box.container)["Image"] for box in opened)  # type: ignore[attr-defined]
    assert first == second and first.startswith("sha256:")
    assert (
        said(opened[0].exec(f"tool; cat README; rm {ENV}/bin/tool 2>/dev/null || echo kept"))
        == "tool\ncontent of README\nkept"
    )
    names = "import os, sys; print([path for path in sys.path if 'packages' in path and os.path.isdir(path)])"
    assert said(opened[0].exec([PYTHON, "-c", names])) == "[]", "nobody's packages are in a layer"
    (repo / "README").write_text("another commit\n")
    opened.append(docker.create(spec))
    third = docker.client.inspect_container(opened[2].container)["Image"]  # type: ignore[attr-defined]
    layers = [docker.client.inspect_image(image)["RootFS"]["Layers"] for image in (first, third)]
    assert layers[0][:-1] == layers[1][:-1] and layers[0][-1] != layers[1][-1], "only the repository differs"
    assert said(opened[2].exec("cat README")) == "another commit"


def test_the_least_recently_used_layers_go(repo: Path, engine: str, opened: list[Box]) -> None:
    docker = Docker()
    images = []
    for n in range(3):
        (repo / "README").write_bytes(bytes([65 + n]) * 300_000)
        box = docker.create(Spec("test", repo=repo))
        images.append(box.image)  # type: ignore[attr-defined]
        box.close()
    docker.images.used(images[0])
    gone = docker.images.evict(limit_bytes=0)
    assert set(images) <= set(gone)
    assert gone.index(images[1]) < gone.index(images[2]) < gone.index(images[0])
    (repo / "README").write_bytes(b"A" * 300_000)
    opened.append(docker.create(Spec("test", repo=repo)))
    assert opened[0].image not in docker.images.evict(limit_bytes=0), "a box needs it"  # type: ignore[attr-defined]


def test_a_runtime_is_part_of_the_name(engine: str, opened: list[Box]) -> None:
    docker = sandbox(sandbox_name("docker", "runc"))
    opened.append(box := docker.create(Spec("test")))
    assert docker.client.inspect_container(box.container)["HostConfig"]["Runtime"] == "runc"  # type: ignore[attr-defined]
    with pytest.raises(SandboxError, match="has no runtime 'nowhere'"):
        sandbox("docker:nowhere")
    for name, runtime in (("bubblewrap", "runc"), ("docker:", ""), ("docker:runc", "kata"), ("nowhere", "")):
        with pytest.raises(UsageError):
            sandbox_name(name, runtime)


def test_a_missing_engine_or_runtime_is_one_line(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    with pytest.raises(SandboxError, match="has no runtime 'nowhere'"):
        Docker(runtime="nowhere").check()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(SandboxError, match="no Docker engine answers") as raised:
        Docker().check()
    assert "\n" not in str(raised.value)


def archive_with(path: Path, *members: tuple[str, str, str]) -> Path:
    """An archive of (name, kind, target): a file, a symbolic or a hard link."""
    kinds = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}
    with tarfile.open(path, "w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kinds[kind], target
            tar.addfile(info, io.BytesIO())
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("x", "link", "/OUT"), ("x/new", "file", "")],
        [("../new", "file", "")],
        [("x", "hard", "../../secret")],
        [("y", "link", "/OUT/secret"), ("x", "hard", "y")],
    ],
)
def test_an_archive_writes_and_links_nowhere_else(members: list[tuple[str, str, str]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "secret").write_text("s")
    members = [(name, kind, target.replace("/OUT", str(out))) for name, kind, target in members]
    archive = archive_with(tmp_path / "bad.tar", *members)
    (tmp_path / "into").mkdir()
    with pytest.raises(SandboxError, match="leads out of the archive"):
        root_image.unpack(archive, tmp_path / "into")
    assert [path.name for path in out.iterdir()] == ["secret"] and not (tmp_path / "new").exists()


def test_an_image_shows_no_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out/inner").mkdir(parents=True)
    archive_with(tmp_path / "image_1.tar", ("app", "link", str(tmp_path / "out")))
    monkeypatch.setenv("KAT_IMAGES", str(tmp_path))
    with pytest.raises(InputError, match="has no folder /app/inner"):
        exported.copy_out("image:1", "/app/inner", tmp_path / "into")
