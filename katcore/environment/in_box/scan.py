"""Walk over all files of a box: which hold lines that are asked for, and which releases of a project lie there.

Python 3.6 or later, standard library alone. In: a JSON object on standard input. `lines`: what to look for, in files
that are called as one of `names`, in patches and backups, and below `places` in files that end as one of `kinds`;
`least`: how many lines a file must have; `alone`: how many bytes one must have to be the only one; `project`: a
package's normalised name; `skip`: folders that are passed over.
Out: JSON, [[path, number of lines], ...] and [[path, release], ...].
"""

import json
import os
import re
import sys

PACKAGE = re.compile(r"(.+?)-(\d[^-]*)(?:-py[\d.]+)?\.(?:dist-info|egg-info)")
LARGEST = 8 << 20
"""The most bytes of a file that is read."""


def content(path: str) -> bytes:
    """What is in a file; empty for links, large files, and what cannot be read."""
    try:
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
            return b""
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def main() -> None:
    """Walk the box's files once, for the change's lines and for newer releases of the project, and write both."""
    asked = json.load(sys.stdin)
    lines = [line.encode() for line in asked["lines"]]
    named = (".patch", ".diff", ".orig", ".rej")
    kinds = tuple(asked["kinds"])
    copies, versions = [], []
    for folder, inner, files in os.walk("/"):
        if folder in asked["skip"]:
            inner[:] = []
            continue
        for name in inner + files:
            found = PACKAGE.fullmatch(name)
            if found and re.sub("[-_.]+", "-", found[1]).lower() == asked["project"]:
                versions.append([os.path.join(folder, name), found[2]])
        whole = any(folder == place or folder.startswith(place + "/") for place in asked["places"])
        for name in files if lines else ():
            if name in asked["names"] or name.endswith(named) or (whole and name.endswith(kinds)):
                path = os.path.join(folder, name)
                data = content(path)
                held = [line for line in lines if line in data]
                if len(held) >= max(asked["least"], 1 if any(len(line) >= asked["alone"] for line in held) else 2):
                    copies.append([path, len(held)])
    json.dump([sorted(copies), sorted(versions)], sys.stdout)


if __name__ == "__main__":
    main()
