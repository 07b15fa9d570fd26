"""Images for boxes of Docker: a base, the dependencies that tasks of a repository share, the repository at its commit.

In: folders of this machine. Out: an image's exact digest; boxes are started from digests, never from tags. Every layer
is named by what is in it, made once, and shared by all who ask for the same; above a limit the least recently used
repository and dependency layers go. A base is made from a tarball, an exported image or this machine's own tree, where
no registry is needed. A layer is a tar archive put into a container that was never started, and committed: that needs
no builder, and works with every engine.
"""

from __future__ import annotations

import io
import os
import secrets
import tarfile
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from katcore.disk.cache import cache_dir, cache_root, digest_of, locked
from katcore.errors import SandboxError
from katcore.sandbox import rootfs
from katcore.sandbox.docker.engine_api import api_errors
from katcore.sandbox.docker.starting import written_down

REPOSITORY = "kat"
LIMIT_VARIABLE = "KAT_DOCKER_CACHE_GIB"
DEFAULT_GIB = 20.0
KIND, BYTES, MAKER = "kat.kind", "kat.bytes", "kat.maker"
UNSHOWN = rootfs.PACKAGES | {"test", "idlelib", "__pycache__"}
"""Names in an interpreter's installation that boxes do not see: other people's packages, and what no box needs."""
_CONTENT_NAMED = ("work", "env", "scaffold")
"""Folders of the cache whose entries are named by their content, so that they need not be read to be named."""


class Images:
    """The images of one Docker engine, and KAT's own among them."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def base(self, source: Path | str | None, skeleton: bytes) -> str:
        """A root file system's image: a tarball's, a known image's, or `skeleton` alone over which folders are mounted.

        A name of an image is resolved to its digest. Out: an id of the form `sha256:...`.
        """
        if source is None:
            return self._made("base", digest_of("base/1", skeleton), lambda name: self._import(skeleton, name))
        if isinstance(source, Path):
            if not source.is_file():
                raise SandboxError(f"no root file system at {source}")
            with source.open("rb") as file:
                digest = _digest(file)
            parent = self._made("base", digest, lambda name: self._import(source, name))
        else:
            parent = self.digest(source)
        return self._made(
            "base", digest_of("over/1", parent, skeleton), lambda name: self._over(parent, skeleton, name)
        )

    def digest(self, name: str) -> str:
        """The exact id of an image that the engine has, by id, tag or repository digest."""
        from docker.errors import NotFound

        try:
            with api_errors(f"the image {name} cannot be looked at"):
                return str(self.client.inspect_image(name)["Id"])
        except SandboxError as error:
            if isinstance(error.__cause__, NotFound):
                raise SandboxError(f"the engine has no image {name}", hint=f"docker pull {name}") from error
            raise

    def present(self, name: str) -> str:
        """The exact id of an image, which the engine pulls if it does not have it. Raises SandboxError."""
        from docker.errors import ImageNotFound

        with api_errors(f"the engine has no image {name} and cannot pull it"):
            try:
                return str(self.client.inspect_image(name)["Id"])
            except ImageNotFound:
                if ":" not in name.rpartition("/")[2] and "@" not in name:
                    name += ":latest"  # without a tag all of them would be pulled
                self.client.pull(name)
                return str(self.client.inspect_image(name)["Id"])

    def variables(self, name: str) -> dict[str, str]:
        """The environment variables that an image sets."""
        asked = self.client.inspect_image(self.present(name))["Config"].get("Env") or []
        return dict(entry.split("=", 1) for entry in asked if "=" in entry)

    def build(self, dockerfile: str, context: Mapping[str, tuple[bytes, int]]) -> str:
        """The name of the image that a Dockerfile makes of files (path -> content, mode), built once. SandboxError.

        As the engine's own builder does it, with the network of the engine's machine; it pulls what it starts from.
        """
        files = {**context, "Dockerfile": (dockerfile.encode(), 0o644)}
        parts = [f"{path}\0{mode}\0{sha256(data).hexdigest()}" for path, (data, mode) in sorted(files.items())]

        def make(name: str) -> None:
            with tempfile.TemporaryFile() as spool:
                with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as archive:
                    for path, (data, mode) in sorted(files.items()):
                        info = _info(path, tarfile.REGTYPE, mode)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
                spool.seek(0)
                how = {"custom_context": True, "network_mode": "host", "rm": True, "forcerm": True, "decode": True}
                labels = {KIND: "task", MAKER: str(cache_root())}
                for said in self.client.build(fileobj=spool, tag=name, labels=labels, **how):
                    if "error" in said:
                        raise SandboxError(f"the Dockerfile cannot be built: {' '.join(said['error'].split())[:400]}")

        digest = digest_of("task/1", *parts)
        self._made("task", digest, make)
        return f"{REPOSITORY}/task:{digest}"

    def emptied(self, parent: str, folder: str) -> str:
        """The parent without what it has at a folder: a repository's history there must not be seen."""

        def make(name: str) -> None:
            script = 'set -- "$0"/..?* "$0"/.[!.]* "$0"/*; rm -rf -- "$@"'
            with self.container(parent, ["/bin/sh", "-c", script, folder]) as container:
                self.client.start(container)
                if (code := self.client.wait(container)["StatusCode"]) != 0:
                    raise SandboxError(f"{folder} of an image cannot be emptied: rm ended with {code}")
                self._keep(container, name, "bare", 0)

        return self._made("bare", digest_of("bare/1", parent, folder), make)

    @contextmanager
    def container(self, image: str, command: Sequence[str] = ("/",)) -> Iterator[str]:
        """A container of an image, root's, without a network; it was not started, and goes in the end."""
        name = f"kat-image-{secrets.token_hex(6)}"
        with written_down(name) as note:
            made = self.client.create_container(
                image,
                entrypoint=list(command),
                command=[],
                name=name,
                user="0:0",
                labels={MAKER: str(cache_root())},
                host_config=self.client.create_host_config(network_mode="none"),
            )["Id"]
            note(made)
            try:
                yield str(made)
            finally:
                self.client.remove_container(made, force=True, v=True)

    def layer(self, parent: str, kind: str, folders: Sequence[tuple[Path, str, int]]) -> str:
        """The parent with folders of this machine in it: (folder, where it goes, the user whose it is).

        An interpreter's layer is without anybody's packages.
        """
        without = UNSHOWN if kind == "python" else frozenset()
        names = [name for folder, target, user in folders for name in (_content(folder, without), target, str(user))]

        def make(name: str) -> None:
            with tempfile.TemporaryFile(dir=cache_dir("docker")) as spool:
                for folder, target, user in folders:
                    pack(folder, target, user, spool, without)
                _end(spool)
                self._commit(parent, spool, name, kind)

        return self._made(kind, digest_of("layer/1", parent, *names), make)

    def used(self, image: str) -> None:
        """Record that an image was used now, for `evict`."""
        (cache_dir("docker") / image.removeprefix("sha256:")).touch()

    def evict(self, limit_bytes: int | None = None) -> list[str]:
        """Remove this cache's least recently used repository and dependency layers until they are within the limit."""
        gib = float(os.environ.get(LIMIT_VARIABLE) or DEFAULT_GIB)
        limit = int(gib * (1 << 30)) if limit_bytes is None else limit_bytes
        made = self.client.images(filters={"label": [KIND, f"{MAKER}={cache_root()}"]})
        found = [image for image in made if image["Labels"].get(KIND) in ("repo", "env", "bare")]
        found.sort(key=lambda image: _last_use(image["Id"]))
        total = sum(int(image["Labels"].get(BYTES, 0)) for image in found)
        gone = []
        for image in found:
            if total <= limit:
                break
            if self.remove(image["Id"]):
                gone.append(image["Id"])
                total -= int(image["Labels"].get(BYTES, 0))
        return gone

    def remove(self, image: str) -> bool:
        """Remove an image; False when a box or another image still needs it."""
        from docker.errors import APIError

        try:
            self.client.remove_image(image)
        except APIError as error:
            if error.status_code not in (404, 409):
                raise SandboxError(f"the image {image} cannot be removed: {error.explanation}") from error
            return bool(error.status_code == 404)
        (cache_dir("docker") / image.removeprefix("sha256:")).unlink(missing_ok=True)
        return True

    def _made(self, kind: str, digest: str, make: Any) -> str:
        name = f"{REPOSITORY}/{kind}:{digest}"
        with suppress(SandboxError):
            return self.digest(name)
        with (
            locked(cache_dir("docker") / f"{kind}-{digest}"),
            api_errors(f"the image of a box's {kind} cannot be made"),
        ):
            with suppress(SandboxError):
                return self.digest(name)
            make(name)
            self.evict()
            image = self.digest(name)
            self.used(image)
        return image

    def _import(self, data: bytes | Path, name: str) -> None:
        repository, _, tag = name.rpartition(":")
        change = [f"LABEL {KIND}=base {BYTES}=0"]
        if isinstance(data, Path):
            self.client.import_image(str(data), repository=repository, tag=tag, changes=change)
            return
        self.client.import_image(data, repository=repository, tag=tag, changes=change)

    def _over(self, parent: str, skeleton: bytes, name: str) -> None:
        with tempfile.TemporaryFile() as spool:
            spool.write(skeleton)
            self._commit(parent, spool, name, "base")

    def _commit(self, parent: str, archive: IO[bytes], name: str, kind: str) -> None:
        size = archive.tell()
        archive.seek(0)
        with self.container(parent) as container:
            self.client.put_archive(container, "/", archive)
            self._keep(container, name, kind, size)

    def _keep(self, container: str, name: str, kind: str, size: int) -> None:
        repository, _, tag = name.rpartition(":")
        labels = {KIND: kind, BYTES: str(size), MAKER: str(cache_root())}
        self.client.commit(container, repository=repository, tag=tag, conf={"Labels": labels}, pause=False)


def skeleton(
    folders: Iterable[tuple[str, int]], links: Iterable[tuple[str, str]], files: Iterable[tuple[str, bytes]]
) -> bytes:
    """A tar archive of folders (path, mode), links (path, target) and files, all root's; mode 0 is the box's own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, mode in folders:
            info = _info(path, tarfile.DIRTYPE, mode or 0o755)
            info.uid = info.gid = rootfs.USER if mode == 0 else 0
            archive.addfile(info)
        for path, target in links:
            info = _info(path, tarfile.SYMTYPE, 0o777)
            info.linkname = target
            archive.addfile(info)
        for path, data in files:
            info = _info(path, tarfile.REGTYPE, 0o644)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def pack(folder: Path, target: str, user: int, into: IO[bytes], without: Container[str] = ()) -> None:
    """Append a folder's files to an archive without its end, as that user's, at the target; some names left out."""

    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if info.name.rpartition("/")[2] in without:
            return None
        info.uid = info.gid = user
        info.uname = info.gname = ""
        return info

    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT, dereference=False) as archive:
        parents = [str(parent) for parent in reversed(Path(target).parents) if str(parent) != "/"]
        for parent in parents:
            archive.addfile(_info(parent, tarfile.DIRTYPE, 0o755))
        archive.add(folder, target.lstrip("/"), filter=owned)
        end = archive.offset
    into.truncate(end)
    into.seek(end)


def _end(archive: IO[bytes]) -> None:
    archive.write(bytes(tarfile.RECORDSIZE))


def _info(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.strip("/"))
    info.type, info.mode = kind, mode
    return info


def _content(folder: Path, without: Container[str]) -> str:
    """A name for what is in a folder: the cache's own where that says it, else the digest of an archive of it."""
    if folder.parent.parent == cache_root() and folder.parent.name in _CONTENT_NAMED and len(folder.name) == 64:
        return folder.name
    with tempfile.TemporaryFile() as spool:
        pack(folder, "/x", 0, spool, without)
        spool.seek(0)
        return _digest(spool)


def _digest(file: IO[bytes]) -> str:
    total = sha256()
    while chunk := file.read(1 << 20):
        total.update(chunk)
    return total.hexdigest()


def _last_use(image: str) -> float:
    stamp = cache_dir("docker") / image.removeprefix("sha256:")
    return stamp.stat().st_mtime if stamp.exists() else 0.0
