"""Names of engines: `embedded:DIR`, `sglang:URL`, `openai:URL`, `anthropic:URL`, `scripted:FILE`, `oracle`, `nop`.

Several SGLang servers with one model are `sglang:URL,URL`.

In: what a user typed. Out: its parts, or a running engine that speaks tokens.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from katcore.engine import KINDS
from katcore.errors import UsageError
from katcore.model.placement import AUTO, Placement

if TYPE_CHECKING:
    from katcore.engine.sglang import SGLangEngine

CONTROLS = tuple(kind for kind, colon in KINDS.items() if not colon)
_URLS = ("sglang", "openai", "anthropic")


@dataclass(frozen=True)
class EngineName:
    """A parsed name; `value` is the folder, URL or file, empty for the controls."""

    kind: str
    value: str

    @property
    def scripted(self) -> bool:
        """Whether it hands out messages instead of sampling tokens."""
        return self.kind in ("scripted", *CONTROLS)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind


def parse(name: str) -> EngineName:
    """The parts of an engine's name; UsageError when it is none."""
    kind, _, value = name.partition(":")
    if kind not in KINDS:
        kinds = "embedded:DIR, sglang:URL, openai:URL, anthropic:URL, scripted:FILE, oracle or nop"
        raise UsageError(f"no such engine: {name!r}", hint=f"an engine is {kinds}")
    if (kind in CONTROLS) == bool(value):
        raise UsageError(f"engine {name!r}: " + ("takes nothing after it" if value else f"write {kind}:WHERE"))
    urls = value.split(",") if kind == "sglang" else [value]
    if kind in _URLS and not all(url.startswith(("http://", "https://")) for url in urls):
        raise UsageError(f"engine {name!r}: a URL begins with http:// or https://")
    return EngineName(kind, value)


def check_placement(engine: EngineName, placement: Placement) -> None:
    """UsageError for a device or dtype that is asked of another engine than the embedded one: nobody would heed it."""
    if engine.kind != "embedded" and placement != AUTO:
        what = "has no weights" if engine.scripted else "its server chose its device and dtype"
        raise UsageError(f"{engine}: {what}", hint="--engine-device and --engine-dtype are for embedded:DIR alone")


async def open_engine(name: str, placement: Placement = AUTO) -> SGLangEngine:
    """A running engine; closing it also stops an embedded one. UsageError for engines that do not speak tokens.

    `placement` is an embedded engine's; where any other's weights lie is its own server's affair: UsageError.
    """
    from katcore.engine.sglang import SGLangEngine

    engine = parse(name)
    check_placement(engine, placement)
    if engine.kind == "sglang":
        return SGLangEngine(engine.value.split(","), name)
    if engine.kind == "embedded":
        return await asyncio.to_thread(_embedded, engine, placement)
    if engine.scripted:
        raise UsageError(f"{name}: a scripted engine hands out messages, it does not speak tokens")
    raise UsageError(f"{name}: an outside endpoint tells no tokens", hint="use embedded:DIR or sglang:URL")


def _embedded(engine: EngineName, placement: Placement) -> SGLangEngine:
    """A process of this one's own."""
    from katcore.engine.embedded.process import EngineProcess
    from katcore.engine.sglang import SGLangEngine

    if not Path(engine.value).is_dir():
        raise UsageError(f"{engine}: no such folder")
    process = EngineProcess(engine.value, placement)
    return SGLangEngine(process.url, str(engine), process.close)
