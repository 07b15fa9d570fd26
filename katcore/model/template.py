"""Chat templates: messages and tools to the text that a model was trained on, as transformers renders it.

In: OpenAI messages and tools. Out: text. Sandboxed jinja2, the same globals and filters as `apply_chat_template`, so
any model's own template works. Tokens are `folder.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.meta
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from katcore.errors import InputError
from katcore.model.files import read_json
from katcore.model.messages import Malformed, Message, Tool, plain, tools_of, with_mappings

# Templates that ask whether arguments are a string, or add them to one (DeepSeek's), get them as they were written.
_KEY = r"(?:\.{0}|\[['\"]{0}['\"]\])"
_RAW = re.compile(
    r"arguments is string|\+\s*\w+" + _KEY.format(r"\w+") + "*?" + _KEY.format("arguments") + r"(?!\s*\|)"
)


_OF_A_TEMPLATE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What else its expressions raise over messages that it was not written for."""


class TemplateError(InputError):
    """The chat template refused the messages, or there is none."""


class NotAnExtension(TemplateError):
    """The template rewrites what it rendered before: the new prompt does not extend the old one."""


class _GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}` marks what the model writes; here it renders its body."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """The templates of one model folder, by name; `default` unless tools are given and there is a `tool_use`."""

    def __init__(self, sources: dict[str, str], special: dict[str, Any], now: datetime | None = None) -> None:
        self.sources = sources
        self._special = special
        # One date for as long as this object lives: a prompt that crosses midnight must still extend its prefix.
        self._now = now or datetime.now()

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names that the templates ask for and do not set themselves."""
        environment = _environment(self._now.strftime)
        found: set[str] = set()
        for source in self.sources.values():
            found |= jinja2.meta.find_undeclared_variables(environment.parse(source))
        return frozenset(found)

    def given(self, variables: dict[str, Any]) -> ChatTemplate:
        """The same templates with values for some of their variables."""
        return ChatTemplate(self.sources, self._special | variables, self._now)

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] | None, add_generation_prompt: bool) -> str:
        """The conversation as text; TemplateError when the template has no place for it."""
        try:
            shown = tools_of(tools)
            template, raw_arguments = self._pick(shown)
            written = plain(messages, raw_arguments)
        except Malformed as reason:
            raise TemplateError(str(reason)) from None
        given = {
            "tools": shown or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            **self._special,
        }
        try:
            return template.render(messages=written, **given)
        except (jinja2.TemplateError, *_OF_A_TEMPLATE) as reason:
            mapped = with_mappings(written)
            try:
                if mapped is not None:
                    return template.render(messages=mapped, **given)
            except (jinja2.TemplateError, *_OF_A_TEMPLATE):
                pass
            raise TemplateError(f"the chat template refuses these messages: {reason}") from None

    def _pick(self, tools: Sequence[Tool] | None) -> tuple[jinja2.Template, bool]:
        name = "tool_use" if tools and "tool_use" in self.sources else "default"
        if name not in self._compiled:
            hint = "put a chat_template.jinja into it, or leave --model out to use KAT's own"
            raise TemplateError("the model folder has no chat template", hint=hint)
        return self._compiled[name], name in self._raw_arguments

    @cached_property
    def _raw_arguments(self) -> frozenset[str]:
        return frozenset(name for name, source in self.sources.items() if _RAW.search(source))

    @cached_property
    def _compiled(self) -> dict[str, jinja2.Template]:
        environment = _environment(self._now.strftime)
        try:
            return {name: environment.from_string(source) for name, source in self.sources.items()}
        except jinja2.TemplateError as reason:
            raise TemplateError(f"the chat template does not compile: {reason}") from None


def load_template(folder: Path, special: dict[str, str]) -> ChatTemplate:
    """The chat template of a model folder: `chat_template.jinja` first, else the one in `tokenizer_config.json`."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return ChatTemplate({"default": path.read_text(encoding="utf-8")}, special)
        except UnicodeDecodeError as reason:
            raise TemplateError(f"{path}: not UTF-8: {reason.reason}") from None
    found = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        return ChatTemplate({entry["name"]: entry["template"] for entry in found}, special)
    return ChatTemplate({"default": found} if isinstance(found, str) else {}, special)


def _environment(strftime: Callable[[str], str]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = strftime
    return environment


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The filter `tojson` without jinja2's HTML escapes of `<`, `>` and `&`: models were trained on plain JSON."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
