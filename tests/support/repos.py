"""Small git repositories and source releases for the tests of mining, and a package index on the loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from katcore.source import pip_session

WHO = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "C",
    "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def forget_settings(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Nothing that the machine's user configured for pip or KAT holds in this test."""
    monkeypatch.setenv("KAT_CACHE", str(cache))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    pip_session.settings.cache_clear()


class Repo:
    """A repository under test; every commit is a minute after the one before."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.minutes = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(
        self, *args: str | bytes, data: bytes = b"", check: bool = True, env: Mapping[str, str] | None = None
    ) -> bytes:
        when = f"{1700000000 + 60 * self.minutes} +0200"
        environ = {**os.environ, **WHO, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when, **(env or {})}
        done = subprocess.run(["git", "-C", str(self.folder), *args], input=data, env=environ, capture_output=True)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout

    def write(self, path: str | bytes, content: bytes | str, mode: int = 0o644) -> None:
        file = self.folder / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)

    def commit(self, message: str = "change", files: Mapping[str, bytes | str | None] | None = None) -> str:
        for path, content in (files or {}).items():
            if content is None:
                self.git("rm", "-q", "--", path)
            else:
                self.write(path, content)
        self.minutes += 1
        self.git("add", "-A", "--force")
        self.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message)
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").decode().strip()

    def tree(self, commit: str) -> str:
        return self.git("rev-parse", f"{commit}^{{tree}}").decode().strip()

    def applied(self, base: str, *patches: str) -> str:
        """The tree that comes out when patches are applied to a base, in a repository that has nothing but the base."""
        with tempfile.TemporaryDirectory() as name:
            other = Repo(Path(name), f"--object-format={'sha256' if len(base) == 64 else 'sha1'}")
            if self.git("cat-file", "-t", base) == b"commit\n":
                base = self.tree(base)
            pack = self.git("pack-objects", "--revs", "--stdout", "-q", data=f"{base}\n".encode())
            other.git("unpack-objects", "-q", data=pack)
            other.git("read-tree", base)
            for patch in patches:
                if patch:
                    other.git("apply", "--cached", "--binary", "--whitespace=nowarn", "-", data=patch.encode())
            return other.git("write-tree").decode().strip()


def sdist(folder: Path, name: str, version: str, files: Mapping[str, bytes | str], mtime: int = 1700000000) -> Path:
    """A source release made by hand, with the metadata that packaging tools add."""
    top = f"{name}-{version}"
    info = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    every = {"PKG-INFO": info, f"{name}.egg-info/PKG-INFO": info, f"{name}.egg-info/SOURCES.txt": version, **files}
    path = folder / f"{top}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, content in every.items():
            entry = tarfile.TarInfo(f"{top}/{member}")
            data = content.encode() if isinstance(content, str) else content
            entry.size, entry.mtime, entry.mode = len(data), mtime, 0o644
            tar.addfile(entry, io.BytesIO(data))
    return path


class Index:
    """A simple index in a folder. `log` has the requests that came in over HTTP, `logins` their credentials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[str] = []
        self.logins: set[str] = set()
        self.url = ""
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, file: Path, *, uploaded: str = "", yanked: bool = False, sha256: str | None = None) -> str:
        """List a file; gives its real hash."""
        real = hashlib.sha256(file.read_bytes()).hexdigest()
        project = file.name.rpartition("-")[0]
        page = self.folder / project / "index.json"
        page.parent.mkdir(exist_ok=True)
        table = (
            json.loads(page.read_text())
            if page.exists()
            else {"meta": {"api-version": "1.1"}, "name": project, "files": []}
        )
        hashes = {"sha256": sha256 if sha256 is not None else real} if sha256 != "" else {}
        entry = {"filename": file.name, "url": f"../files/{file.name}", "hashes": hashes, "yanked": yanked}
        table["files"].append(entry | ({"upload-time": uploaded} if uploaded else {}))
        table["versions"] = []
        table["files"] = [{"size": 1, **f} for f in table["files"]]
        page.write_text(json.dumps(table))
        (self.folder / "files").mkdir(exist_ok=True)
        (self.folder / "files" / file.name).write_bytes(file.read_bytes())
        return real


class _Handler(http.server.SimpleHTTPRequestHandler):
    index: Index

    def __init__(self, index: Index, *args: object) -> None:
        self.index = index
        super().__init__(*args, directory=str(index.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.index.log.append(self.path)
        self.index.logins |= {self.headers["Authorization"]} - {None}
        if self.path.endswith("/"):
            self.path += "index.json"
        super().do_GET()

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        return "application/vnd.pypi.simple.v1+json" if str(path).endswith("index.json") else "application/octet-stream"

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(index: Index) -> Iterator[str]:
    """The index over HTTP on the loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, index))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        index.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield index.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
