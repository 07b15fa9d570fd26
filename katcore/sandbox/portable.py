"""An interpreter of this machine that runs in images of any age and any C library: it brings loader and libraries.

In: an interpreter. Out: a folder for `/opt/python/bin`: `python3`, a shell script that starts the real executable with
this machine's loader, and both beside it with every shared library that the interpreter or a module of its standard
library is linked with. What such a Python starts sees nothing of them: they are told to the loader, not put into the
environment. The image needs a `/bin/sh`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from katcore.disk.cache import cache_dir, digest_of, fresh, publish
from katcore.errors import SandboxError
from katcore.sandbox.interpreter import Python

_SCRIPT = """#!/bin/sh
exec {top}/bin/host/{loader} --argv0 "$0" --library-path {top}/bin/host {top}/bin/host/python "$@"
"""


def folder(which: Python, top: str) -> Path:
    """The cached folder of an interpreter with its libraries; `top` is its parent's path in a box. SandboxError."""
    status = which.executable.stat()
    final = cache_dir("rootfs") / digest_of("portable/1", str(which), f"{status.st_size} {status.st_mtime_ns}", top)
    if final.is_dir():
        return final
    with fresh("rootfs") as made:
        host = made / "host"
        host.mkdir()
        shutil.copy(which.executable, host / "python")
        loader = ""
        for library in _libraries(which):
            shutil.copy(library, host / library.name)
            if library.name.startswith("ld-"):
                loader = library.name
        if not loader:
            raise SandboxError(f"{which.executable} has no loader: it cannot run in another root file system")
        name = f"python{which.version}"
        (made / name).write_text(_SCRIPT.format(top=top, loader=loader), encoding="utf-8")
        (made / name).chmod(0o755)
        for alias in ("python3", "python"):
            (made / alias).symlink_to(name)
        return publish(made, final)


def _libraries(which: Python) -> Iterable[Path]:
    """The paths of the loader and the libraries that the interpreter asks for."""
    modules = sorted((which.prefix / f"lib/python{which.version}" / "lib-dynload").glob("*.so"))
    done = subprocess.run(["ldd", which.executable, *modules], capture_output=True, text=True, check=False)
    found = re.findall(r"^\s+(?:(\S+) => )?(/\S+) \(0x", done.stdout, re.MULTILINE)
    return [Path(path) for path in sorted({path for _, path in found})]
