"""Parquet: types from the structs alone, and nothing lost on the way there and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from katcore.errors import InputError, KatError
from katcore.records import RECORDS, Call, Node, Sample, Scaffold, Task, TaskSource, Trajectory, encode, tag_of
from katcore.streams import arrow, open_output, parquet, read_records
from tests.support.any_record import objects

GOLDEN = Path(__file__).parent / "golden"
EPOCH = "1970-01-01T00:00:00+00:00"
TRAJECTORY = Trajectory(id="t", task_id="k", group_id="g", scaffold=Scaffold(name="s"), model="m")
TASK = Task(
    instance_id="k", repo="r", base_commit="b", created_at="2024-01-01T00:00:00Z", source=TaskSource(kind="git")
)


def save(path: Path, *lines: bytes) -> Path:
    out = open_output(path, None, False)
    for line in lines:
        out.write(line, msgspec.json.decode(line)["schema"])
    out.finish()
    return path


def through(tmp_path: Path, *lines: bytes) -> list[bytes]:
    return [line.raw for line in read_records([save(tmp_path / "x.parquet", *lines)])]


def same(wanted: Any, found: Any) -> bool:
    """Whether `found` is `wanted` with defaults filled in."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and same(value, found[key]) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(same, wanted, found))
    return bool(wanted == found) and isinstance(wanted, bool) == isinstance(found, bool)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECORDS, ids=tag_of)
def test_records_with_unknown_fields_come_back(kind: type[msgspec.Struct]) -> None:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(objects(info), min_size=1, max_size=4))
    def check(records: list[dict[str, Any]]) -> None:
        lines = [msgspec.json.encode(record) for record in records]
        with tempfile.TemporaryDirectory() as folder:
            found = through(Path(folder), *lines)
        assert len(found) == len(lines)
        for line, record, raw in zip(lines, records, found):
            assert same(record, msgspec.json.decode(raw))
            assert msgspec.json.decode(raw, type=kind) == msgspec.json.decode(line, type=kind)

    check()


@pytest.mark.parametrize(
    "name, column, why",
    [
        ("text", pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string()), "can't decode byte 0xff"),
        ("later", pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string()), "can't decode byte 0xff"),
        ("later", pa.array([0, 1_700_000_000_123_456_789], pa.timestamp("ns")), "Nanosecond"),
        ("kat.residual", pa.array([None, "{"]), "truncated"),
        ("kat.residual", pa.array([None, '{"text": {"0": [1]}}']), "'text'"),
    ],
)
def test_what_others_wrote_and_nobody_can_read_is_bad_input(
    name: str, column: pa.Array, why: str, tmp_path: Path
) -> None:
    columns = {"schema": pa.array(["kat.sample/1"] * 2), "id": pa.array(["a", "b"]), name: column}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=f"x.parquet: rows 1 to 2: a value cannot be read: .*{why}"):
        list(read_records([tmp_path / "x.parquet"]))


# ------------------------------------------------------------------------------------------------- what lies inside


def test_golden_records_come_back_and_do_so_again(tmp_path: Path) -> None:
    for golden in sorted(GOLDEN.glob("*.jsonl")):
        lines = golden.read_bytes().splitlines()
        once = through(tmp_path, *lines)
        assert [same(msgspec.json.decode(a), msgspec.json.decode(b)) for a, b in zip(lines, once)] == [True, True]
        assert through(tmp_path, *once) == once


def test_unknown_fields_at_every_level_come_back(tmp_path: Path) -> None:
    def strewn(value: Any) -> Any:
        if isinstance(value, list):
            return [strewn(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {key: strewn(one) for key, one in value.items()} | {"unknown": None, "unknown too": [2**70, {"a": True}]}

    for golden in sorted(GOLDEN.glob("*.jsonl")):
        for line in golden.read_bytes().splitlines():
            record = msgspec.json.decode(line) | {"languages": {}, "test_files": {}}  # maps know all their keys
            record = strewn(record) | {"languages": {}, "test_files": {}}
            for part in [record.get("environment", {}), *record.get("calls", [])]:
                part.pop("env", None), part.pop("usage", None)
            (found,) = through(tmp_path, msgspec.json.encode(record))
            assert same(record, msgspec.json.decode(found))


def test_parts_of_a_batch_are_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    golden = (GOLDEN / "trajectory-1.jsonl").read_bytes()
    path.write_bytes(golden * 3 + (GOLDEN / "trajectory-1.jsonl").read_bytes().replace(b'"id":1,', b'"id":9,'))
    lines = list(read_records([path]))
    batch = arrow.to_batch(lines)
    for start in range(len(lines)):
        rows = arrow.from_batch(batch.slice(start, 2), Trajectory, "x")
        assert [msgspec.json.decode(row, type=Trajectory) for row in rows] == [
            line.record for line in lines[start : start + 2]
        ]


def test_a_full_record_needs_no_residual(tmp_path: Path) -> None:
    for golden in sorted(GOLDEN.glob("*.jsonl")):
        full = golden.read_bytes().splitlines()[0]
        table = pq.read_table(save(tmp_path / "x.parquet", full))
        assert table.column(arrow.RESIDUAL).to_pylist() == [None], golden.name


def test_a_file_from_before_a_field_was_added_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", encode(TASK))
    pq.write_table(pq.read_table(path).drop_columns(["benchmark"]), path)
    (line,) = read_records([path])
    assert line.record == TASK


def test_types_come_from_the_structs_not_from_the_data(tmp_path: Path) -> None:
    schema = pq.read_schema(save(tmp_path / "x.parquet", encode(TRAJECTORY)))
    node = schema.field("nodes").type.value_type
    assert node.field("parent").type == pa.int64() and node.field("parent").nullable
    assert node.field("token_ids").type.value_type == pa.int32()
    assert node.field("engine_logprobs").type.value_type == pa.float32()
    assert node.field("message").metadata == {b"kat.json": b"true"} and node.field("message").type == pa.string()
    call = schema.field("calls").type.value_type
    assert call.field("started_at").type == pa.timestamp("us", "UTC")
    assert call.field("usage").type == pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False))
    assert not schema.field("id").nullable and schema.field("patch").nullable
    assert schema.metadata[b"kat.schema"] == b"kat.trajectory/1" and b"kat.version" in schema.metadata


def test_log_probs_of_an_engine_come_back_to_the_bit(tmp_path: Path) -> None:
    logprobs = memoryview(bytes(range(4, 64))).cast("f").tolist()
    node = Node(id=0, role="assistant", token_ids=[1, 2, 3], engine_logprobs=[*logprobs, -0.0])
    line = encode(msgspec.structs.replace(TRAJECTORY, nodes=[node]))
    assert through(tmp_path, line) == [line]


def test_times_keep_the_way_they_were_written(tmp_path: Path) -> None:
    written = [
        "2024-01-01T00:00:00Z",
        "2024-01-01T02:00:00+02:00",
        "2024-01-01T00:00:00.000Z",
        "2024-01-01T00:00:00.120000Z",
        "2024-01-01T00:00:00.120000",
        "yesterday, around noon",
    ]
    lines = [encode(msgspec.structs.replace(TRAJECTORY, calls=[Call(id=0, started_at=text)])) for text in written]
    assert through(tmp_path, *lines) == lines
    table = pq.read_table(tmp_path / "x.parquet")
    started = [calls[0]["started_at"].isoformat() for calls in table.column("calls").to_pylist()]
    assert started == ["2024-01-01T00:00:00+00:00"] * 3 + ["2024-01-01T00:00:00.120000+00:00"] + [EPOCH] * 2


def test_row_groups_are_bounded_and_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP", 2000)
    lines = [encode(Sample(id=str(i), messages=[{"n": i}] * (i % 5), loss_spans=[(i, i + 1)])) for i in range(150)]
    assert through(tmp_path, *lines) == lines
    groups = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert groups.num_row_groups > 5
    assert groups.row_group(0).column(1).compression == "ZSTD"


# ---------------------------------------------------------------------------------------- tasks beside, other files


def test_tasks_lie_beside_and_come_first(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", encode(TRAJECTORY), encode(TASK), encode(TRAJECTORY))
    beside = tmp_path / "x.parquet.tasks.parquet"
    wanted = ["kat.task/1", "kat.trajectory/1", "kat.trajectory/1"]
    assert [line.kind for line in read_records([path])] == wanted
    assert [line.kind for line in read_records([path, beside])] == wanted  # as a shell expands x.parquet*
    assert [line.kind for line in read_records([beside])] == ["kat.task/1"]
    save(path, encode(TRAJECTORY))
    assert not beside.exists()


def test_tasks_alone_lie_in_the_file_itself(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", encode(TASK))
    assert [line.kind for line in read_records([path])] == ["kat.task/1"]
    assert [name.name for name in tmp_path.iterdir()] == ["x.parquet"]


def test_no_records_are_a_file_without_rows(tmp_path: Path) -> None:
    assert through(tmp_path) == []


def test_two_types_in_one_file_are_refused_at_once(tmp_path: Path) -> None:
    out = open_output(tmp_path / "x.parquet", None, False)
    out.write(encode(TRAJECTORY), "kat.trajectory/1")
    with pytest.raises(KatError, match=r"x.parquet: a Parquet file holds records of one type"):
        out.write(encode(Sample(id="a")), "kat.sample/1")
    out.abandon()
    assert list(tmp_path.iterdir()) == []


def test_what_other_tools_make_of_a_file_is_read(tmp_path: Path) -> None:
    line = (GOLDEN / "trajectory-1.jsonl").read_bytes().splitlines()[0]
    table = pq.read_table(save(tmp_path / "x.parquet", line)).replace_schema_metadata(None)
    large = pa.schema(
        [pa.field(one.name, pa.large_string() if one.type == pa.string() else one.type) for one in table.schema]
    )
    table = table.cast(large).drop_columns([arrow.RESIDUAL, "verdict"]).append_column("score", pa.array([7]))
    pq.write_table(table, tmp_path / "y.parquet")
    (found,) = read_records([tmp_path / "y.parquet"])
    wanted = msgspec.structs.replace(msgspec.json.decode(line, type=Trajectory), verdict=None)
    assert found.record == wanted and msgspec.json.decode(found.raw)["score"] == 7


def test_files_that_are_not_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match="not a file of records"):
        list(read_records([path]))
    pq.write_table(pa.table({"schema": ["kat.sample/1"], "id": ["a"], "loss_spans": [True]}), path)
    with pytest.raises(InputError, match=r"x.parquet: not the columns of kat.sample/1"):
        list(read_records([path]))


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "x.parquet", encode(Sample(id="a"))).read_bytes()
    cut = tmp_path / "cut.parquet"
    for size in range(0, len(whole), 7):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError):
            list(read_records([cut]))


def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", encode(Sample(id="a", text="needle in a haystack")))
    data = bytearray(path.read_bytes())
    data[data.index(b"needle")] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        list(read_records([path]))
