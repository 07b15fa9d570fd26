"""How much a model is to think, where its chat template has a word for that: the template with the agent's effort.

In: an effort as agents name it (`low`, `high`, `none` and the like). Out: the chat model whose prompts ask for it, or
None where the template takes no such variable, so that nothing can be asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from katcore.gateway.incremental import IncrementalRenderer
from katcore.model.folder import ChatModel

LEVEL = "reasoning_effort"
SWITCHES = ("enable_thinking", "thinking")
"""Variables of chat templates: gpt-oss' level; the switches of Qwen3 and GLM, and of DeepSeek."""
OFF = ("none", "minimal")
"""Efforts at which a switch is off."""


@dataclass(frozen=True)
class Voice:
    """A chat model that renders with some effort; `key` tells its prompts from those of others."""

    key: str
    chat: ChatModel
    renderer: IncrementalRenderer = field(default_factory=IncrementalRenderer)


class Voices:
    """The voices of one model."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        self._known: dict[str, Voice | None] = {}

    def of(self, effort: str) -> Voice | None:
        """The voice for an effort; None where the template takes none, or where none is asked for."""
        if effort and effort not in self._known:
            given = variables(self._chat.template.variables, effort)
            self._known[effort] = Voice(effort, self._chat.with_variables(given)) if given else None
        return self._known.get(effort)


def variables(names: Collection[str], effort: str) -> dict[str, Any]:
    """What a template that takes variables of these names is given for an effort."""
    found: dict[str, Any] = {name: effort not in OFF for name in SWITCHES if name in names}
    return found | ({LEVEL: effort} if LEVEL in names and not (found and effort in OFF) else {})
