"""What a user may call an engine, and what opens."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from katcore.disk.scratch import scratch
from katcore.engine import SamplingParams
from katcore.engine.names import EngineName, open_engine, parse
from katcore.errors import UsageError
from tests.support.tiny_models import Folder


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("embedded:models/a:b", EngineName("embedded", "models/a:b")),
        ("sglang:http://host:30000", EngineName("sglang", "http://host:30000")),
        ("openai:https://host/v1", EngineName("openai", "https://host/v1")),
        ("scripted:a.jsonl", EngineName("scripted", "a.jsonl")),
        ("oracle", EngineName("oracle", "")),
    ],
)
def test_names(name: str, parsed: EngineName) -> None:
    assert parse(name) == parsed and str(parsed) == name
    assert parsed.scripted == (parsed.kind in ("scripted", "oracle"))


@pytest.mark.parametrize("name", ["", "vllm:x", "embedded", "embedded:", "sglang:host:30000", "nop:x", ":x"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="engine"):
        parse(name)


@pytest.mark.parametrize("name", ["openai:http://x", "anthropic:http://x", "scripted:f", "nop", "embedded:/nowhere"])
def test_what_does_not_open(name: str) -> None:
    with pytest.raises(UsageError):
        asyncio.run(open_engine(name))


def test_embedded_opens_generates_and_leaves_nothing_behind(model_folder: Folder) -> None:
    before = set(scratch().iterdir())

    async def work() -> int:
        engine = await open_engine(f"embedded:{model_folder()}")
        assert engine.name == f"embedded:{model_folder()}" and len(set(scratch().iterdir()) - before) == 1
        found = await engine.generate([5, 6, 7], SamplingParams(max_new_tokens=3))
        await engine.close()
        return len(found.token_ids)

    assert asyncio.run(work()) == 3
    assert set(scratch().iterdir()) == before


def test_names_are_parsed_without_heavy_imports() -> None:
    code = "import sys, katcore.engine.names; print({'torch', 'aiohttp', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
