"""The small JSON files of a model folder: absent means empty, anything but an object is bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from katcore.errors import InputError


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`, `{}` when there is no such file; InputError when it holds something else."""
    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as reason:
        raise InputError(f"{path}: not JSON ({reason})") from None
    if not isinstance(table, dict):
        raise InputError(f"{path}: not a JSON object")
    return table
