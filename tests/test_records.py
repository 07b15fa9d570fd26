"""The published JSON Schemas and the structs say the same, as an independent validator sees it."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings

from katcore.records import RECORDS, Record, Task, tag_of
from tests.support import ROOT
from tests.support.any_record import objects

GOLDEN = ROOT / "tests/streams/golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def golden(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]


def msgspec_takes(record: dict[str, Any]) -> bool:
    try:
        msgspec.json.decode(json.dumps(record).encode(), type=Record)
    except msgspec.ValidationError:
        return False
    return True


def test_every_record_has_a_schema_and_golden_records() -> None:
    tags = sorted(tag_of(kind).removeprefix("kat.").replace("/", "-") for kind in RECORDS)
    assert NAMES == tags == sorted(path.stem for path in (ROOT / "schemas").glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_schemas_name_themselves(name: str) -> None:
    schema = validator(name).schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"kat:schemas/{name}.json"
    assert schema["title"] == f"kat.{name.replace('-', '/')}" and schema["description"]


@pytest.mark.parametrize("name", NAMES)
def test_golden_records_are_valid_and_full(name: str) -> None:
    full, least = golden(name)
    for record in (full, least, full | {"a_later_field": [1]}):
        validator(name).validate(record)
        assert msgspec_takes(record)
    assert set(full) == set(validator(name).schema["properties"])
    assert set(least) == set(validator(name).schema["required"])


def test_a_task_of_before_benchmarks_is_read() -> None:
    """A minor addition: the record without it is valid, and what it lacks is null."""
    old = {name: value for name, value in golden("task-1")[0].items() if name != "benchmark"}
    validator("task-1").validate(old)
    task = msgspec.json.decode(json.dumps(old).encode(), type=Task)
    assert task.benchmark is None and task.instance_id == old["instance_id"]


def damages(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The record with each field in turn of a wrong type or missing, at every level."""
    found: list[tuple[str, dict[str, Any]]] = []

    def damage(path: list[Any], change: Callable[[Any, Any], None]) -> None:
        damaged = copy.deepcopy(record)
        place: Any = damaged
        for step in path[:-1]:
            place = place[step]
        change(place, path[-1])
        found.append((f"{change.__name__} {path}", damaged))

    def wrong(place: Any, key: Any) -> None:
        place[key] = {"wrong": []} if not isinstance(place[key], dict) else "wrong"

    def missing(place: Any, key: Any) -> None:
        del place[key]

    def walk(value: Any, path: list[Any]) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            damage([*path, key], wrong)
            if isinstance(value, dict):
                damage([*path, key], missing)
            if isinstance(inner, dict | list):
                walk(inner, [*path, key])

    walk(record, [])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_damaged_records_are_refused_by_both_or_by_neither(name: str) -> None:
    check, refused = validator(name), 0
    for what, record in damages(golden(name)[0]):
        assert check.is_valid(record) == msgspec_takes(record), what
        refused += not check.is_valid(record)
    assert refused > 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECORDS, ids=tag_of)
def test_whatever_a_struct_takes_its_schema_takes(kind: type[msgspec.Struct]) -> None:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    check = validator(tag_of(kind).removeprefix("kat.").replace("/", "-"))

    @settings(max_examples=40, deadline=None)
    @given(objects(info))
    def takes(record: dict[str, Any]) -> None:
        check.validate(record)

    takes()


def test_drift_is_reported(tmp_path: Path) -> None:
    for folder in ("scripts", "schemas"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    command = [sys.executable, tmp_path / "scripts" / "schemas.py", "--check"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    schema = tmp_path / "schemas" / "task-1.json"
    schema.write_text(schema.read_text().replace('"string"', '"number"', 1))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "schemas/task-1.json is out of date: run `make generate`\n")
