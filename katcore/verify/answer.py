"""What an attempt answered: the text that rules and judges look at, and the program in it.

In: a trajectory. Out: text. An agent that was asked for an answer and not for a change of files gives it as its last
message, or as the artifact `answer`. Nothing here decides whether it is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from katcore.records import Trajectory

ARTIFACT = "answer"
"""The name of the artifact that holds the answer, where the last message does not."""

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+#.-]*)")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


def answer_of(trajectory: Trajectory) -> str:
    """The answer's text: the artifact `answer`, else the agent's last message on its main line without thinking."""
    given = trajectory.artifacts.get(ARTIFACT)
    if isinstance(given, str):
        return given
    for node in reversed(trajectory.nodes):
        if node.role == "assistant" and node.message and node.lineage == "main":
            return _THOUGHT.sub("", _text(node.message.get("content"))).strip()
    return ""


def code_of(text: str, language: str = "") -> str:
    """The last fenced block in that language, else the last fenced block, else the whole text."""
    blocks = list(_blocks(text))
    named = [code for name, code in blocks if language and name == language.lower()]
    return (named or [code for _, code in blocks] or [text])[-1]


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, code) of each closed block, read line by line: answers may be made to hang a regular expression."""
    fence, name, lines = "", "", list[str]()
    for line in _LINE.findall(text):
        if fence and line.strip() == fence:
            yield name, "".join(lines)
            fence = ""
        elif fence:
            lines.append(line)
        elif found := _FENCE.match(line):
            fence, name, lines = found.group(1), found.group(2).lower(), []


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
