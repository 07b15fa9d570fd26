"""Event files against metrics.jsonl, read by a reader of TFRecord and protobuf that knows nothing of their writer."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.records import Pack
from katcore.train.options import SaveOptions, TrainOptions
from katcore.train.run import fit
from tests.support.random_packs import make_pack


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protobuf message's fields (protobuf.dev/programming-guides/encoding)."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[at : at + size]
        at += size


def crc(data: bytes) -> int:
    """CRC-32C as TFRecord masks it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """Curves as a viewer shows them: Event.step is field 2, summary 5, session_log 7; what START voids is gone."""
    found: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            record = data[at + 12 : at + 12 + size]
            assert struct.unpack_from("<I", data, at + 8)[0] == crc(data[at : at + 8])
            assert struct.unpack_from("<I", data, at + 12 + size)[0] == crc(record)
            at += 16 + size
            event = dict(fields(record))
            if 7 in event:
                found = {tag: {s: v for s, v in curve.items() if s < event[2]} for tag, curve in found.items()}
            for _, value in fields(event.get(5, b"")):
                point = dict(fields(value))
                curve = found.setdefault(point[1].decode(), {})
                assert event[2] not in curve, "a step has one value"
                curve[event[2]] = struct.unpack("<f", point[2])[0]
    return found


def packs(count: int) -> list[Pack]:
    import msgspec

    return [msgspec.structs.replace(make_pack(seed)[0], objective="sft", step=seed) for seed in range(count)]


def test_a_resumed_run_draws_every_step_once(tmp_path: Path, model_folder: Path) -> None:
    """Five steps, checkpoints at 2 and 4: the fifth is lost with the run that took it and taken again."""
    options = TrainOptions(model=model_folder, save=SaveOptions(save_every=2, tensorboard=True))

    def broken() -> Iterator[Pack]:
        yield from packs(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(options, broken(), tmp_path)
    assert sorted(curves(tmp_path / "tensorboard")["train/loss"]) == [1, 2, 3, 4, 5]
    fit(options, packs(7), tmp_path, resume=True)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    got = curves(tmp_path / "tensorboard")
    for name in ("loss", "grad_norm", "lr", "tokens_unique"):
        assert got[f"train/{name}"] == pytest.approx({line["step"]: line[name] for line in lines}, rel=1e-6)
    assert sorted(got["train/loss"]) == list(range(1, 8))


def test_without_the_option_there_are_no_event_files(tmp_path: Path, model_folder: Path) -> None:
    fit(TrainOptions(model=model_folder), packs(1), tmp_path)
    assert not (tmp_path / "tensorboard").exists()
