"""The problem statement, from what people wrote about the change: never from its code.

In: a change, the repository before it. Out: text, or `Rejected` (`statement_too_thin`) where nobody wrote what is
needed. Issues come first, because they tell the need; a change-log or commit message follows, without the sentences
that tell the implementation (`implementation.py`). Of a message whose title says too little, GitHub's list of squashed
commits is asked too. A title that says itself that no behaviour changes (`ci: …`, `fix tests`) is no need, and one that
says that code is only moved (`refactor: …`) leaves it to the body to tell one. What is left must tell enough
(`need.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from katcore.build_env.implementation import Solution
from katcore.build_env.message import QUIET, REWORK, Block, Written, parts, shown, written
from katcore.build_env.need import Need
from katcore.errors import Rejected
from katcore.records import Change, Json

TEMPLATE = Path(__file__).with_name("instruction.md")
LONGEST = 8000

_VERSION = re.compile(r"\s*[\w.-]*\s*[(]?v?\d+(?:\.\w+)*[)]?[\s\d.:()/-]*(?:release[ds]?)?\s*", re.IGNORECASE)
"""Matches what names a version and its date: the title of a release, the heading of a change log."""


def problem_statement(change: Change, base: Callable[[Collection[str]], Collection[str]] | None = None) -> str:
    """The task's instruction, as Markdown that ends with a newline; `base`: which names the code before it has."""
    teller = _Teller(Need(change), Solution(change, base) if base else Solution(change))
    found = written(change)
    asked = [f"{issue.title.strip()}\n\n{shown(parts(issue.body)[0])}".strip() for issue in change.issues]
    texts = [text for text in (*asked, teller.said(found)) if text]
    told = teller.need.told_by("\n".join(texts))
    if not told.enough:
        evidence: Json = {"kind": found.kind, "left": "\n".join(texts)[:500], "dropped": teller.dropped[:50]}
        counts = {"words": told.words, "in_patches": told.in_patches}
        raise Rejected("statement", "statement_too_thin", evidence | counts)
    return TEMPLATE.read_text(encoding="utf-8").format(repo=change.repo, text="\n\n".join(texts)[:LONGEST].strip())


@dataclass(frozen=True)
class _Teller:
    """Takes from messages what tells the need; `dropped` are sentences that tell the implementation."""

    need: Need
    solution: Solution
    dropped: list[str] = field(default_factory=list)

    def said(self, found: Written) -> str:
        """What a message says of the need."""
        if found.kind in QUIET:
            return ""
        title = [Block(found.title, (found.title,), title=True)] if found.title and found.kind not in REWORK else []
        kept = self._kept(block for block in (*title, *found.body) if not _VERSION.fullmatch(block.text[:LONGEST]))
        text = shown(kept)
        if found.kind in REWORK or self.need.told_by(text).enough:
            return text
        return shown([*kept, *self._kept(Block(f"- {one}", (one,)) for one in found.squashed if self._tells(one))])

    def _tells(self, item: str) -> bool:
        return self.need.told_by(item).enough

    def _kept(self, blocks: Iterable[Block]) -> list[Block]:
        """What is left of the blocks; `Changes:` goes with the list below it."""
        left = [shorter for block in blocks for shorter in self._without_implementation(block)]
        return [one for one, below in pairwise([*left, Block("")]) if not one.text.endswith(":") or below.hangs]

    def _without_implementation(self, block: Block) -> Iterator[Block]:
        """The block without its sentences that tell the implementation, or nothing where none is left."""
        if not block.sentences:
            if not self.solution.tells_code(block.text.split("\n")):
                yield block
            return
        kept = tuple(sentence for sentence in block.sentences if not self.solution.told_by(sentence, title=block.title))
        self.dropped.extend(sentence for sentence in block.sentences if sentence not in kept)
        if kept:
            yield block if kept == block.sentences else Block(" ".join(kept), kept)
