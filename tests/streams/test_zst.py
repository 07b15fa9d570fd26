"""zstd: a file of ours that lost anything, anywhere, is found; of others, what can be checked is checked."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
import zstandard

from katcore.errors import InputError
from katcore.records import Sample, encode
from katcore.streams import open_output, read_records, zst

SAMPLES = [encode(Sample(id=str(i), text="word " * i)) for i in range(6)]
PLAIN = b"".join(line + b"\n" for line in SAMPLES)


def frames(*blocks: list[bytes]) -> bytes:
    """A finished file with these data frames."""
    tally = zst.Tally()
    return zst.mark() + b"".join(zst.data_frame(block, tally) for block in blocks) + zst.trailer(tally)


MANY = frames(SAMPLES[:1], SAMPLES[1:4], SAMPLES[4:])


def ids(data: bytes, warnings: list[str] | None = None) -> list[str]:
    warn = warnings.append if warnings is not None else None
    return [line.record.id for line in read_records(stdin=io.BytesIO(data), warn=warn)]


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl.zst"
    out = open_output(path, None, False)
    for line in SAMPLES:
        out.write(line, "kat.sample/1")
    out.finish()
    return path


def test_a_finished_file_reads_back(finished: Path) -> None:
    assert [line.raw for line in read_records([finished])] == SAMPLES
    assert ids(MANY) == list("012345")


def test_other_tools_read_it(finished: Path) -> None:
    subprocess.run(["zstd", "-tq", finished], check=True)
    assert subprocess.run(["zstd", "-dcq", finished], check=True, capture_output=True).stdout == PLAIN


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.zst"
    for size in range(len(MANY)):
        path.write_bytes(MANY[:size])
        with pytest.raises(InputError, match="truncated"):
            list(read_records([path]))


def test_a_pipe_cut_anywhere_is_refused() -> None:
    for size in range(1, len(MANY)):
        with pytest.raises(InputError):
            ids(MANY[:size])


def test_a_lost_frame_in_the_middle_is_refused() -> None:
    tally, other = zst.Tally(), zst.Tally()
    parts = [zst.data_frame([line], tally) for line in SAMPLES]
    with pytest.raises(InputError, match="5 records where the trailer promises 6"):
        ids(zst.mark() + b"".join(parts[:2] + parts[3:]) + zst.trailer(tally))
    swapped = [zst.data_frame([line], other) for line in (SAMPLES[1], SAMPLES[0], *SAMPLES[2:])]
    with pytest.raises(InputError, match="sha256 differs"):
        ids(zst.mark() + b"".join(swapped) + zst.trailer(tally))


def test_a_flipped_bit_anywhere_is_refused_or_harmless() -> None:
    for at in range(len(MANY)):
        damaged = bytearray(MANY)
        damaged[at] ^= 0x10
        try:
            assert ids(bytes(damaged), []) == list("012345")  # a bit that means nothing, such as an unused magic number
        except InputError:
            continue


def test_finished_files_may_be_concatenated(finished: Path) -> None:
    data = finished.read_bytes()
    assert ids(data + MANY) == list("012345") * 2
    with pytest.raises(InputError, match="trailer"):
        ids(MANY[: -len(zst.trailer(zst.Tally()))] + data)


def test_a_foreign_file_is_read_with_a_warning() -> None:
    warnings: list[str] = []
    foreign = subprocess.run(["zstd", "-cq"], input=PLAIN, check=True, capture_output=True).stdout
    assert ids(foreign, warnings) == list("012345")
    assert len(warnings) == 1 and "<stdin>: not written by kat" in warnings[0]
    for size in range(4, len(foreign)):
        with pytest.raises(InputError, match="truncated"):
            ids(foreign[:size])


def test_a_file_of_ours_gives_no_warning(finished: Path) -> None:
    warnings: list[str] = []
    assert len(list(read_records([finished], warn=warnings.append))) == 6
    assert warnings == []


def test_a_foreign_file_cut_inside_a_line_is_refused() -> None:
    with pytest.raises(InputError, match="line 6: truncated"):
        ids(zstandard.compress(PLAIN[:-5]))


def test_skippable_frames_of_others_are_passed_over() -> None:
    other = b"\x5e\x2a\x4d\x18" + (9000).to_bytes(4, "little") + b"x" * 9000
    assert ids(other + zstandard.compress(PLAIN) + other) == list("012345")


def test_garbage_after_a_frame_is_refused() -> None:
    for data in (MANY, zstandard.compress(PLAIN)):
        with pytest.raises(InputError, match="not zstd"):
            ids(data + b"garbage")


def test_a_file_that_is_still_growing_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.zst.part"
    path.write_bytes(MANY[: -len(zst.trailer(zst.Tally()))])
    with pytest.raises(InputError, match="truncated"):
        list(read_records([path]))
