"""Starts a console script of the installation that it lies in, with the packages of that on this process's path alone.

Python 3.9 or later, standard library alone, started with `python -I`. In: `entries.json` beside it, which has the entry
points, `module:function`, by the names of the scripts; this file's own name is one of them. What the script starts sees
neither its packages nor a variable that leads to them.
"""

from __future__ import annotations

import functools
import importlib
import json
import pathlib
import site
import sys
from typing import Any


def entry(file: pathlib.Path) -> Any:
    """The function that the entry point of this file's name says."""
    module, _, name = json.loads((file.parent / "entries.json").read_text("utf-8"))[file.name].partition(":")
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def main() -> None:
    file = pathlib.Path(__file__)
    folder = str(file.parent.parent)
    sys.path.insert(0, folder)
    site.addsitedir(folder)  # for its .pth files
    sys.exit(entry(file)())


if __name__ == "__main__":
    main()
