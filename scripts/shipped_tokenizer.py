"""Train the small tokenizer that KAT ships: python scripts/shipped_tokenizer.py [FOLDER]

In: the Python standard library of the interpreter that runs it (sources, and the language reference in `pydoc_data`),
text that is free to use and on every machine. Out: `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`
in katcore/model/small. Besides plain files it sees what agents read and write: the same code inside JSON strings, and
unified diffs. The same interpreter version gives the same bytes; the committed one came from CPython 3.11.7.
"""

from __future__ import annotations

import difflib
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from katcore.model.tokenizer import SMALL, train_tokenizer

VOCABULARY = 4096
SKIPPED = {
    "test",
    "tests",
    "site-packages",
    "idlelib",
    "lib2to3",
    "encodings",
    "__pycache__",
    "ensurepip",
    "turtledemo",
}


def sources() -> Iterator[str]:
    """The library's files in a fixed order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if not SKIPPED & set(path.relative_to(root).parts):
            yield path.read_text(encoding="utf-8", errors="replace")


def texts() -> Iterator[str]:
    """Every file, and of every fourth the forms that an agent meets."""
    for number, text in enumerate(sources()):
        yield text
        if number % 4 == 0:
            lines = text.splitlines(keepends=True)[:200]
            changed = [line.replace("self", "this") if at % 9 == 0 else line for at, line in enumerate(lines)]
            diff = "".join(difflib.unified_diff(lines, changed, "a/module.py", "b/module.py"))
            yield diff
            command = f"cat > module.py <<'EOF'\n{''.join(lines[:40])}EOF"
            yield json.dumps({"name": "bash", "arguments": {"command": command}})
            yield json.dumps({"name": "bash", "arguments": {"command": f"git apply <<'EOF'\n{diff[:2000]}EOF"}})


if __name__ == "__main__":
    train_tokenizer(texts(), VOCABULARY, Path(sys.argv[1]) if len(sys.argv) > 1 else SMALL)
