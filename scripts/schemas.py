"""schemas/*.json from the structs: one JSON Schema (draft 2020-12) for each record.

Usage: python scripts/schemas.py [--check]
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import drift
import msgspec

from katcore.records import RECORDS, tag_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a record. Fields that it does not name are allowed: a minor version adds fields."""
    definitions = msgspec.json.schema(kind)["$defs"]
    for definition in definitions.values():
        definition["description"] = inspect.cleandoc(definition["description"])
    own = definitions.pop(kind.__name__)
    head = {"$schema": DIALECT, "$id": f"kat:schemas/{name_of(kind)}", "title": tag_of(kind)}
    return head | {key: value for key, value in own.items() if key != "title"} | {"$defs": definitions}


def name_of(kind: type[msgspec.Struct]) -> str:
    """`task-1.json` for `kat.task/1`."""
    return tag_of(kind).removeprefix("kat.").replace("/", "-") + ".json"


def files() -> dict[str, str]:
    """All schemas by path."""
    return {f"schemas/{name_of(kind)}": json.dumps(schema_of(kind), indent=1) + "\n" for kind in RECORDS}


if __name__ == "__main__":
    sys.exit(drift.settle(files(), sys.argv))
