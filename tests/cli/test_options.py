"""Options are declared once: the command line, kat.toml, the environment and RUN.toml take the same, within bounds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import NODEFAULT

from katcli import config
from katcli.contract import Command, Program
from katcli.options import SHARED, UNCONFIGURABLE
from katcli.surface import programs
from katcore.errors import UsageError
from katcore.loop.plan import tables
from katcore.loop.refused import REFUSED, TABLES
from katcore.loop.refused import SHARED as SHARED_REASONS
from katcore.options import Option, check, flat, options_of, without_none
from tests.support import ROOT

PROGRAMS = list(programs())
COMMANDS = [
    pytest.param(program, command, id=f"{program.prog} {name}".strip())
    for program in PROGRAMS
    for name, command in program.commands.items()
]
LOOPED = {"rollout": "kat-rollout", "verify": "kat-verify", "pack-trie": "kat-pack-trie", "train": "kat-train"}
"""The tables of RUN.toml that hold a command's options."""
TOGETHER = {"schedule": {"max-steps": 9}, "redraws": {"patience": 1}}
"""What an option cannot do without."""


def other(option: Option) -> Any:
    """A value that fits and is not the default."""
    kind = without_none(option.kind)
    if option.repeats:
        return ["a"]
    if option.choices:
        return next(word for word in option.choices if word != option.default)
    if kind is bool:
        return not option.default
    if kind in (int, float):
        least = option.ge if option.ge is not None else 0
        most = option.le if option.le is not None else least + 7
        return next(value for value in (kind(least), kind(most)) if value != option.default)
    return "0.1@2" if option.key == "plateau" else "a"


def below(option: Option) -> list[Any]:
    """Values just outside the bounds."""
    made: list[Any] = [] if option.ge is None else [int(option.ge) - 1]
    return made if option.le is None else [*made, int(option.le) + 1]


def looped() -> list[Any]:
    found = []
    for table, prog in LOOPED.items():
        command = next(program for program in PROGRAMS if program.prog == prog).commands[""]
        found += [pytest.param(table, option, id=f"{table}-{option.key}") for option in command.options]
    return found


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_a_commands_options_have_one_name_each(program: Program, command: Command) -> None:
    keys, fields = [o.key for o in command.options], [o.field for o in command.options] + list(command.arguments)
    assert len(set(keys)) == len(keys) and len(set(fields)) == len(fields)
    assert all(option.help.endswith(".") and option.help[0] != " " for option in command.options)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", key) for key in keys)


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_kat_toml_and_the_environment_take_every_option_within_its_bounds(program: Program, command: Command) -> None:
    for option in command.options:
        table = {program.key: {option.key: other(option)}}
        layers = [config.Layer("kat.toml", table)]
        every = [o.key for o in command.options]
        if option.key in UNCONFIGURABLE:
            with pytest.raises(UsageError, match=f"{option.key}: {UNCONFIGURABLE[option.key]}"):
                config.check_keys(program.key, every, layers, UNCONFIGURABLE)
            continue
        config.check_keys(program.key, every, layers, UNCONFIGURABLE)
        found = config.lookup(program.key, option.key.replace("-", "_"), layers, {})
        assert found is not None
        value = config.value_of(found, option)
        assert value == check(option, other(option))
        name = f"KAT_{program.key}_{option.key}".upper().replace("-", "_")
        text = " ".join(value) if option.repeats and isinstance(value[0], str) else str(other(option))
        text = "a" if option.repeats else text
        spoken = config.lookup(program.key, option.key.replace("-", "_"), [], {name: text})
        assert spoken is not None and config.value_of(spoken, option) == value
        for bad in below(option):
            for place in (config.ConfiguredValue(bad, "kat.toml"), config.ConfiguredValue(str(bad), "environment")):
                with pytest.raises(UsageError, match=option.key):
                    config.value_of(place, option)


@pytest.mark.parametrize(("table", "option"), looped())
def test_run_toml_takes_every_option_or_refuses_it_with_the_reason(table: str, option: Option) -> None:
    path = Path("RUN.toml")
    given = {table: {option.key: other(option), **TOGETHER.get(option.key, {})}}
    if option.key == "objective":
        given = {table: {"objective": "gspo"}}
    reason = REFUSED[table].get(option.key)
    if reason is not None:
        assert len(reason) > 10
        with pytest.raises(UsageError, match=re.escape(f"[{table}] {option.key}: {reason}")):
            tables(path, given)
        return
    file = tables(path, given)
    if option.key == "jobs":
        assert file.jobs == given[table]["jobs"]
    else:
        name = {"pack-trie": "pack_trie"}.get(table, table)
        value = flat(getattr(file, name))[option.key]
        assert value == check(option, given[table][option.key])
    for bad in below(option):
        with pytest.raises(UsageError, match=re.escape(f"[{table}] {option.key}")):
            tables(path, {table: {option.key: bad}})


def test_what_is_refused_is_an_option() -> None:
    for table, reasons in REFUSED.items():
        command = next(program for program in PROGRAMS if program.prog == LOOPED[table]).commands[""]
        shared = {option.key for groups in SHARED.values() for group in groups for option in options_of(group)}
        assert reasons.keys() <= {option.key for option in command.options} | shared
    others = {program.key.replace("_", "-") for program in PROGRAMS} - REFUSED.keys()
    assert TABLES.keys() == others, "every command has its table, or the reason why not"
    for table in TABLES:
        with pytest.raises(UsageError, match=re.escape(f"[{table}]: {TABLES[table]}")):
            tables(Path("RUN.toml"), {table: {}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rollout": {"samples": -3}}, "[rollout] samples: expected `int` >= 1"),
        ({"train": {"lr": -1.0}}, "[train] lr: expected `float` >= 0"),
        ({"train": {"lr": float("nan")}}, "[train] lr: nan is not a finite number"),
        ({"train": {"lr": float("inf")}}, "[train] lr: inf is not a finite number"),
        ({"rollout": {"samples": True}}, "[rollout] samples: expected `int`"),
        ({"rollout": {"smaples": 2}}, "[rollout] smaples: there is no such option"),
        ({"loop": {"iterations": 0}}, "[loop] iterations: expected `int` >= 1"),
        ({"lop": {}}, "there is no 'lop'"),
        ({"rollout": 3}, "rollout is a table"),
        ({"train": {"objective": "sft"}}, "[train] objective = 'sft'"),
        ({"train": {"schedule": "cosine"}}, "a cosine schedule needs to know where it ends"),
    ],
)
def test_mistakes_are_told_with_their_place(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as told:
        tables(Path("RUN.toml"), given)
    assert message in str(told.value)


def test_limits_of_ratios_are_switched_off_from_everywhere() -> None:
    (train,) = [program for program in PROGRAMS if program.prog == "kat-train"]
    limits = [option for option in train.commands[""].options if option.infinite]
    assert [option.key for option in limits] == ["clip-high", "icepop-high", "tis-clip"]
    for option in limits:
        assert "inf" in option.help
        for value in (float("inf"), "inf"):
            assert config.value_of(config.ConfiguredValue(value, "here"), option) == float("inf")
        loss = tables(Path("RUN.toml"), {"train": {option.key: float("inf")}}).train.minimised.loss
        assert getattr(loss, option.field) == float("inf")


NEUTRAL = (None, False, True, 0, 1, -1, "", "auto")
"""Defaults that ask for nothing: whoever writes them again repeats no decision."""
FORMATS = {"katcore/records.py", "katcore/engine/__init__.py", "katcore/engine/embedded/requests.py"}
"""What these leave out, records and requests on the wire leave out."""


def defaults_in(source: str) -> Iterator[tuple[str, Any]]:
    """Names and literal defaults of parameters and of fields of classes."""
    for node in ast.walk(ast.parse(source)):
        found: list[tuple[str, ast.expr | None]] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = [*node.args.posonlyargs, *node.args.args]
            last = named[len(named) - len(node.args.defaults) :]
            found = [(arg.arg, default) for arg, default in zip(last, node.args.defaults)]
            found += [(arg.arg, default) for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults)]
        elif isinstance(node, ast.ClassDef):
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            found = [(ast.unparse(each.target), each.value) for each in fields]
        for name, default in found:
            with suppress(ValueError, TypeError):
                yield name, ast.literal_eval(default)  # type: ignore[arg-type]


def test_a_default_stands_where_the_option_is_declared_and_nowhere_else() -> None:
    """A parameter or field of the option's name has no such default. Of other names people must know themselves."""
    declared = {
        (name, type(option.default), option.default)
        for program in PROGRAMS
        for command in program.commands.values()
        for option in command.options
        for name in (option.field, f"{option.field}_s")
        if not option.repeats and option.default not in (*NEUTRAL, NODEFAULT)
    }
    assert ("timeout_s", float, 1800.0) in declared
    again = [
        f"{path.relative_to(ROOT)}: {name} = {default!r}"
        for path in ROOT.glob("katcore/**/*.py")
        if path.name != "options.py" and path.parent.name not in ("options", "in_box")
        if path.relative_to(ROOT).as_posix() not in FORMATS
        for name, default in defaults_in(path.read_text("utf-8"))
        if not isinstance(default, list | tuple | dict | set) and (name, type(default), default) in declared
    ]
    assert not again


@pytest.mark.parametrize(
    "source",
    [
        "def f(a, rows=48): ...",
        "def f(*, rows: int = 48): ...",
        "class C:\n    rows: int = 48",
        "async def f(rows=48, /): ...",
    ],
)
def test_a_second_default_is_seen(source: str) -> None:
    assert ("rows", 48) in defaults_in(source)


def test_options_are_declared_in_files_of_options_and_reach_typer_by_one_way() -> None:
    for path in sorted((ROOT / "cli").glob("*.py")):
        if path.name != "options.py":
            assert "typer.Option(" not in path.read_text(), path
    declared = [path for path in ROOT.glob("katcore/**/*.py") if re.search(r"\bopt\(\n?\s*\"", path.read_text())]
    assert declared and all(path.name == "options.py" or path.parent.name == "options" for path in declared), declared
    for program in PROGRAMS:
        for command in program.commands.values():
            assert all(isinstance(group, type) for group in command.groups.values())


def test_what_has_to_be_given_may_come_from_a_file(tmp_path: Path) -> None:
    (pack,) = [program.commands[""] for program in PROGRAMS if program.prog == "kat-pack-trie"]
    needed = [option for option in pack.options if option.default is NODEFAULT]
    assert [option.key for option in needed] == ["for"]
    assert get_args(needed[0].kind)


def test_who_writes_as_it_is_done_and_who_may() -> None:
    """The other commands keep the order of their input, and have no option about it."""
    found = {
        f"{program.prog} {name}".strip(): [option.default for option in command.options if option.key == "ordered"]
        for program in PROGRAMS
        for name, command in program.commands.items()
    }
    assert {name: default for name, (default,) in ((name, each) for name, each in found.items() if each)} == {
        "kat-rollout": False,
        "kat-verify": False,
        "kat-verify validate": False,
        "kat-build-env": True,
        "kat-mine tasks": True,
    }


def test_what_would_be_taken_without_effect_is_refused() -> None:
    """The loop sets these itself: a table that took them would be ignored in silence."""
    own = {table: set(reasons) - SHARED_REASONS.keys() for table, reasons in REFUSED.items()}
    assert own == {
        "rollout": {"engine", "model", "attempt", "grade-timeout", "prompt-price", "completion-price",
                    "agent-sampling", "upstream-model", "key-variable"},
        "verify": {"jobs", "tasks"},
        "pack-trie": {"jobs", "for", "model"},
        "train": {"model", "epochs", "plateau", "batch-packs", "deepspeed", "save-every", "keep", "temperature"},
    }  # fmt: skip
