"""Write generated files, or with --check say which of them differ from what the code says now."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def settle(wanted: Mapping[str, str], argv: list[str]) -> int:
    """`wanted` maps paths below the root to their text. Exit status: 1 when --check finds drift."""
    stale = [path for path, text in wanted.items() if not _same(ROOT / path, text)]
    if "--check" in argv:
        for path in stale:
            print(f"{path} is out of date: run `make generate`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
