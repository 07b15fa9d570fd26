"""The programs that run inside boxes: files of the folders `in_box/`, read as text.

In: a package and the name of a program of its `in_box/`. Out: its source, for `python -c` with arguments behind it, or
for a file in a box. Such a program has nothing of KAT beside it: it imports the standard library alone, and its
docstring says under which Python it must run. Values reach it as arguments or as JSON on its standard input: a source
is never put together, but for the cheats of `verify/probes_cheats.py`, which are appended to the code under test behind
a line that lists the tests. What stands in it, comments too, can be read by whatever runs in the box.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

FOLDER = "in_box"


@cache
def program(package: str, name: str) -> str:
    """The source of `in_box/NAME.py` of a package."""
    return files(f"{package}.{FOLDER}").joinpath(f"{name}.py").read_text("utf-8")
