"""Options as data: what a command can be told, declared once, as frozen structs that everything else reads.

A room's `options.py` declares structs of this kind. A field's type, default, bounds, metavar and help are the option's:
help, man pages, completions, `--print-config`, kat.toml, RUN.toml and the room itself take them from here. A field
whose type is another such struct is a group: outside, its options stand among the others; inside, who needs a group
alone is given the group alone. Nothing heavy is imported: `--help` reads these modules.

    class Sampling(Options, frozen=True):
        temperature: Annotated[float, opt("Sampling temperature.", ge=0)] = 1.0     # --temperature, temperature = 1.0
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

if "typing_extensions" not in sys.modules:
    # where it is missing, msgspec takes the same from typing, which has it all since 3.11: help comes earlier
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    import msgspec as msgspec

    del sys.modules["typing_extensions"]

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert
from msgspec.structs import replace

from katcore.errors import UsageError

__all__ = ["NODEFAULT", "Option", "Options", "Struct", "build", "check", "flat", "opt", "options_of", "without_none"]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A group of options. `msgspec.field(name=…)` gives one a name that is no Python name, such as `for`.

    Subclasses say `frozen=True` again, for type checkers: at run time they inherit it.
    """


T = TypeVar("T", bound=Options)


def opt(
    help: str,
    *,
    metavar: str = "",
    short: str = "",
    ge: float | None = None,
    le: float | None = None,
    count: bool = False,
    infinite: bool = False,
) -> Meta:
    """What an option says of itself. `short`: a flag such as `-j`; `count`: the flag is repeated, as in `-vv`.

    `infinite`: a limit that `inf` switches off. No other float may be infinite: a rate or a time-out has no use for it,
    and JSON cannot say it.
    """
    extra = {"metavar": metavar, "short": short, "count": count, "infinite": infinite}
    return Meta(ge=ge, le=le, description=help, extra=extra)


class Option(Struct, frozen=True):
    """One option as declared: `key` is its name outside, with hyphens; `path` the fields that lead to it inside."""

    key: str
    path: tuple[str, ...]
    kind: Any
    default: Any
    """NODEFAULT where it has to be given."""
    help: str
    metavar: str
    short: str
    count: bool
    infinite: bool
    ge: float | None
    le: float | None

    @property
    def field(self) -> str:
        """The name of the field that it is."""
        return self.path[-1]

    @property
    def choices(self) -> tuple[str, ...]:
        """The words of an option that takes one of a few."""
        kind = without_none(self.kind)
        return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()

    @property
    def repeats(self) -> bool:
        """Whether it may be given several times: a tuple of any length."""
        return get_origin(without_none(self.kind)) is tuple


def without_none(kind: Any) -> Any:
    """The type without `| None`."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return next(each for each in get_args(kind) if each is not type(None))
    return kind


@cache
def options_of(kind: type[Options]) -> tuple[Option, ...]:
    """The options of a struct in the order of its fields, those of a group in the group's place."""
    hints = _hints(kind)
    defaults = dict(zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__)))
    found: list[Option] = []
    for name, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__):
        hint, default = hints[name], defaults.get(name, NODEFAULT)
        if isinstance(hint, type) and issubclass(hint, Options):
            for one in options_of(hint):
                there = one.default if default is NODEFAULT else _at(default, one.path)
                found.append(replace(one, path=(name, *one.path), default=there))
        else:
            found.append(_option(name, key, hint, default))
    return tuple(found)


def _hints(kind: type[Options]) -> dict[str, Any]:
    """The fields' types. Modules of options do not postpone their annotations: reading them again takes time."""
    hints: dict[str, Any] = kind.__annotations__
    return hints if not any(isinstance(hint, str) for hint in hints.values()) else _evaluated(kind)


def _evaluated(kind: type[Options]) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _option(name: str, key: str, hint: Any, default: Any) -> Option:
    kind, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    meta = next((each for each in metas if isinstance(each, Meta)), opt(""))
    extra = meta.extra or {}
    return Option(
        key, (name,), kind, default, meta.description or "", extra["metavar"], extra["short"], extra["count"],
        extra["infinite"], meta.ge, meta.le,
    )  # fmt: skip


def _at(options: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        options = getattr(options, name)
    return options


def flat(options: Options) -> dict[str, Any]:
    """Every option's value by its key."""
    return {one.key: _at(options, one.path) for one in options_of(type(options))}


def build(
    kind: type[T], values: Mapping[str, Any], where: Callable[[str], str] = "--{}".format, base: T | None = None
) -> T:
    """The struct with these values, by key; what is not among them is as in `base`, by default as declared.

    Every value is checked against its type and bounds, wherever it comes from. UsageError, which begins with what
    `where` makes of the key, for a value that does not fit, an unknown key, and a missing one.
    """
    options = {one.key: one for one in options_of(kind)}
    for key in values:
        if key not in options:
            raise UsageError(f"{where(key)}: there is no such option", hint="one of: " + ", ".join(options))
    inside: dict[str, Any] = {}
    for key, one in options.items():
        value = values.get(key, one.default if base is None else _at(base, one.path))
        if value is NODEFAULT:
            words = ", ".join(one.choices)
            raise UsageError(f"{where(key)} is missing", hint=f"one of: {words}" if words else "")
        level = inside
        for name in one.path[:-1]:
            level = level.setdefault(name, {})
        level[one.path[-1]] = check(one, value, where)
    return _made(kind, inside)


def _made(kind: type[T], values: Mapping[str, Any]) -> T:
    """The struct, its groups made first. Values are checked already: msgspec's own check knows no bounds of unions."""
    hints = _hints(kind)
    return kind(**{
        name: _made(hints[name], value) if isinstance(hints[name], type) and issubclass(hints[name], Options) else value
        for name, value in values.items()
    })  # fmt: skip


def check(option: Option, value: Any, where: Callable[[str], str] = "--{}".format) -> Any:
    """The value as the option's type. UsageError for one that does not fit."""
    if isinstance(value, float) and not (math.isfinite(value) or (math.isinf(value) and option.infinite)):
        raise UsageError(f"{where(option.key)}: {value} is not a finite number")
    kind = option.kind
    if option.ge is not None or option.le is not None:
        inner = without_none(kind)
        bounded: Any = Annotated[inner, Meta(ge=option.ge, le=option.le)]  # type: ignore[valid-type]
        kind = bounded if inner is kind else bounded | None
    try:
        return convert(value, kind, dec_hook=_path)
    except ValidationError as error:
        message = str(error).replace(" - at `$`", "")
        raise UsageError(f"{where(option.key)}: {message[:1].lower()}{message[1:]}, got {value!r}") from error


def _path(kind: type, value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str | Path):
        return Path(value)
    raise ValidationError(f"Expected `{kind.__name__}`")
