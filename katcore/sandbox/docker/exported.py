"""Images as files of this machine: for boxes of bubblewrap, and for the repository that a task's image holds.

In: an image's name. Out: its root file system, the files of one of its folders, its variables, and an exact name of its
content. An archive `NAME.tar` in the folder that `KAT_IMAGES` names (in it other characters than letters, digits, `.`,
`_` and `-` are `_`) is taken first: an image that was exported on another machine needs no engine here. Else the Docker
engine has the image, or pulls it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from katcore.disk.cache import cache_dir, fresh, locked, publish
from katcore.errors import InputError, SandboxError
from katcore.sandbox import Spec, root_image
from katcore.sandbox.docker.engine_api import api_errors, connect
from katcore.sandbox.docker.images import Images

IMAGES_VARIABLE = "KAT_IMAGES"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH in an image that names none."""


def archive_of(image: str) -> Path | None:
    """The archive of an image on this machine, if there is one."""
    folder = os.environ.get(IMAGES_VARIABLE)
    path = Path(folder, re.sub(r"[^A-Za-z0-9_.-]", "_", image) + ".tar") if folder else None
    return path if path and path.is_file() else None


def digest(image: str) -> str:
    """The digest of an image's present content. Raises SandboxError."""
    archive = archive_of(image)
    return root_image.digest(archive) if archive else engine().present(image).removeprefix("sha256:")


def root(image: str) -> Path:
    """The folder in the cache with an image's root file system. Raises SandboxError."""
    if archive := archive_of(image):
        return root_image.unpacked(archive)
    final = cache_dir("base") / digest(image)
    with locked(final):
        if not final.is_dir():
            with fresh("base") as made:
                _export(image, "/", made)
                publish(made, final)
    return final


def seen(spec: Spec) -> Spec:
    """The same spec with its image's variables beneath its own; an exported archive names none."""
    if not spec.image:
        return spec
    asked = {} if archive_of(spec.image) else engine().variables(spec.image)
    return replace(spec, env={"PATH": PATH, **asked, **spec.env})


def copy_out(image: str, folder: str, into: Path) -> None:
    """Fill a folder of this machine with an image's. InputError when the image has none such; SandboxError."""
    archive = archive_of(image)
    if archive is None:
        _export(image, folder, into)
        return
    top = root_image.unpacked(archive)
    found = top / folder.strip("/")
    if not found.is_dir() or not found.resolve().is_relative_to(top.resolve()):
        raise InputError(f"the image {image} has no folder {folder}")
    shutil.copytree(found, into, symlinks=True, dirs_exist_ok=True)


def _export(image: str, folder: str, into: Path) -> None:
    """Copy what the image has at `folder` into a folder of this machine, from a container that is never started."""
    from docker.errors import NotFound

    images = engine()
    with api_errors(f"the image {image} cannot be exported"), images.container(image) as container:
        try:
            client = images.client
            chunks = client.export(container) if folder == "/" else client.get_archive(container, folder)[0]
        except NotFound as error:
            raise InputError(f"the image {image} has no folder {folder}") from error
        _unpack(chunks, into, folder)


def _unpack(chunks: Iterable[bytes], into: Path, folder: str) -> None:
    with tempfile.NamedTemporaryFile(dir=cache_dir("base"), prefix="export-", suffix=".tar") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        root_image.unpack(Path(file.name), into, strip=folder != "/")


def engine() -> Images:
    """The images of the Docker engine. Raises SandboxError when none answers."""
    return _of(os.environ.get("DOCKER_HOST", ""))


@lru_cache(maxsize=4)
def _of(host: str) -> Images:
    """The images of the engine at `host`, with one client for all threads, as the SDK allows."""
    try:
        client: Any = connect()
    except SandboxError as error:
        hint = f"{IMAGES_VARIABLE}=FOLDER with NAME.tar, as docker export writes it, does without an engine"
        raise SandboxError(f"an image of its own is needed, and {error}", hint=hint) from error
    return Images(client)
