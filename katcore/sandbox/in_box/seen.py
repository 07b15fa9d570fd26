"""Type and permissions of named files, and where links lead.

Python 3.6 or later, standard library alone. In: a JSON list of paths below the working folder, on standard input. Out:
a JSON object, path -> mode and a link's target or null; without what is not there, or lies behind a link.
"""

import json
import os
import stat
import sys


def main() -> None:
    """Write the mode, and a link's target, of each path that standard input names, as one JSON object."""
    found = {}
    top = os.path.realpath(".")
    for name in json.load(sys.stdin):
        folder = os.path.dirname(name)
        try:
            if os.path.realpath(folder) != os.path.join(top, folder).rstrip("/"):
                continue  # what lies behind a link is somewhere else
            mode = os.lstat(name).st_mode
        except OSError:
            continue
        link = os.readlink(name) if stat.S_ISLNK(mode) else None
        found[name] = [mode, link]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
