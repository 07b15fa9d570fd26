"""Write files into the working folder, whatever has taken their place.

Python 3.6 or later, standard library alone. In: a JSON object on standard input, path -> content in base64 (null: the
file goes) and git's mode. A parent folder that was turned into a link would lead the content astray: links are never
followed.
"""

import base64
import json
import os
import shutil
import sys


def main() -> None:
    """Write the test files that standard input lists, one after the other."""
    for name, (data, mode) in json.load(sys.stdin).items():
        make_way(name)
        if data is None:
            continue
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        content = base64.b64decode(data)
        if mode == "120000":
            os.symlink(content, name)
            continue
        with open(name, "wb") as file:
            file.write(content)
        os.chmod(name, 0o755 if mode == "100755" else 0o644)


def make_way(name: str) -> None:
    """Remove whatever is at the path, and everything on the way to it that is not a folder."""
    at = "."
    for part in name.split("/")[:-1]:
        at = os.path.join(at, part)
        if os.path.lexists(at) and (os.path.islink(at) or not os.path.isdir(at)):
            os.unlink(at)
    if os.path.isdir(name) and not os.path.islink(name):
        shutil.rmtree(name)
    elif os.path.lexists(name):
        os.unlink(name)


if __name__ == "__main__":
    main()
