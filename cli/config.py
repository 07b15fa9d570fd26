"""Where an option's value comes from: flag > KAT_<COMMAND>_<OPTION> > KAT_<OPTION> > --config > ./kat.toml > user file.

In a file, top-level keys are shared options and a table `[mine]`, `[rollout]`, … holds one command's. Keys may be
written with `-` or `_`. In the environment a list is separated by white space. Secrets never stand in a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from katcore.errors import UsageError
from katcore.options import Option, Struct, check, without_none


class ConfiguredValue(Struct, frozen=True):
    """A value and the place that it was read from."""

    value: Any
    source: str


class Layer(Struct, frozen=True):
    """One configuration file: its name for people and its content."""

    name: str
    table: Mapping[str, Any]


def _read(path: Path, name: str) -> Layer:
    import tomllib

    try:
        return Layer(name, tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: {error}") from error


def layers(config: Path | None, enabled: bool) -> list[Layer]:
    """The files in force, the strongest first."""
    if not enabled:
        return [] if config is None else [_read(config, str(config))]
    found = [] if config is None else [_read(config, str(config))]
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")  # noqa: PTH111,PTH118
    for path, name in ((Path("kat.toml"), "kat.toml"), (Path(home) / "kat" / "kat.toml", "user kat.toml")):
        if path.is_file():
            found.append(_read(path, name))
    return found


def _entry(table: Mapping[str, Any], option: str) -> Any:
    for key in (option, option.replace("_", "-")):
        if key in table:
            return table[key]
    return None


def lookup(command: str, option: str, files: Iterable[Layer], environ: Mapping[str, str]) -> ConfiguredValue | None:
    """The strongest value of an option not given as a flag, or None; `command` is a name such as `build_env`."""
    for name in (f"KAT_{command}_{option}".upper(), f"KAT_{option}".upper()):
        if name in environ:
            return ConfiguredValue(environ[name], f"environment {name}")
    for layer in files:
        own = _entry(layer.table, command)
        if isinstance(own, dict) and (value := _entry(own, option)) is not None:
            return ConfiguredValue(value, f"{layer.name} [{command.replace('_', '-')}]")
        value = _entry(layer.table, option)
        if value is not None and not isinstance(value, dict):
            return ConfiguredValue(value, layer.name)
    return None


def check_keys(command: str, known: Iterable[str], files: Iterable[Layer], refused: Mapping[str, str]) -> None:
    """UsageError for a key in a file that no option of the command has, or that no file may hold."""
    names = set(known)
    for layer in files:
        own = _entry(layer.table, command)
        if not isinstance(own, dict):
            continue
        for key in own:
            name = key.replace("_", "-")
            if name not in names:
                raise UsageError(f"{layer.name}: [{command.replace('_', '-')}] has an unknown option {key!r}")
            if name in refused:
                raise UsageError(f"{layer.name}: [{command.replace('_', '-')}] {key}: {refused[name]}")


def value_of(found: ConfiguredValue, option: Option) -> Any:
    """The found value as the type that the option is declared with. UsageError, which names its place."""
    value = _from_text(found.value, option) if isinstance(found.value, str) else found.value
    return check(option, value, lambda key: f"{found.source}: {key}")


def _from_text(text: str, option: Option) -> Any:
    """The value in a text, of a variable or a quoted one of a file; entries of a list are parted by white space."""
    if option.repeats:
        return text.split()
    kind = without_none(option.kind)
    low = text.strip().lower()
    if kind is bool:
        return True if low in {"1", "true", "yes", "on"} else False if low in {"0", "false", "no", "off", ""} else text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text
