"""Every file and link below the working folder, for where the engine cannot say what changed.

Python 3.11 or later, standard library alone. Out: a JSON object, path -> type and permissions, and the SHA-256 of the
content or, in hex, where a link leads; empty for what is not read.
"""

import hashlib
import json
import os
import stat

DEEPEST = 3000
"""The most characters of a path that is visited; some trees are deeper than a path can name."""
HOLLOW = 64 << 20
"""Bytes by which a file's size may exceed twice its blocks; a larger one is mostly holes and is not read."""


def entry(path: str, status: os.stat_result) -> list[int | str]:
    """The type and permissions of a file or link, with its digest or target, as they are compared."""
    mode, hollow = status.st_mode, status.st_size > HOLLOW + 1024 * status.st_blocks
    if stat.S_ISLNK(mode):
        return [stat.S_IFLNK, os.fsencode(os.readlink(path)).hex()]
    if stat.S_ISREG(mode) and os.access(path, os.R_OK) and not hollow:
        with open(path, "rb") as file:
            return [mode, hashlib.file_digest(file, "sha256").hexdigest()]
    return [mode, ""]


def main() -> None:
    """Walk the folder and write its entries; a folder that cannot be opened counts as empty."""
    found: dict[str, list[int | str]] = {}
    waiting = ["."]
    while waiting:
        at = waiting.pop()
        if len(at) > DEEPEST:
            found[at[2:]] = [0, ""]
            continue
        try:
            inner = list(os.scandir(at))
        except OSError:
            continue
        for one in inner:
            path, status = f"{at}/{one.name}", one.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
            else:
                found[path[2:]] = entry(path, status)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
