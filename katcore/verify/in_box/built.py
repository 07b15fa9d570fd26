"""Carry files of the working folder from one box to another, in an archive.

Python 3.6 or later, standard library alone. In: `give FILE`, with names on standard input, parted by NUL bytes: writes
the archive of those that are there. `take FILE`: lays out what an archive holds, and removes the archive.
"""

import os
import sys
import tarfile


def main() -> None:
    """Give or take; an error ends the process."""
    todo, path = sys.argv[1:]
    if todo == "give":
        with tarfile.open(path, "w") as archive:
            for name in filter(None, sys.stdin.buffer.read().split(b"\0")):
                if os.path.lexists(name):
                    archive.add(os.fsdecode(name))
        return
    with tarfile.open(path) as archive:
        if hasattr(tarfile, "fully_trusted_filter"):
            archive.extraction_filter = staticmethod(tarfile.fully_trusted_filter)
        archive.extractall()
    os.remove(path)


if __name__ == "__main__":
    main()
