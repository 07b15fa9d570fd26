"""The contract that every command keeps: options, configuration, exit codes, signals, closed pipes, one-line errors.

A command file makes a `Program`, decorates one function per (sub)command, and exports `main`. A parameter of the
function whose type is a struct of options (`katcore.options`) stands for all of them, any other is an argument; the
shared options of `options.py` are added. Exit codes: 0 done, also when the reader left; 1 failed; 2 usage; 3 finished
with dead letters; 4 input bad; 75 locked; 130, 143 signals.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import io
import os
import sys
import typing
from collections.abc import Callable
from typing import Any, NoReturn

gc.disable()  # nothing that imports and help make is garbage, and looking for it takes a tenth of their time

import typer  # noqa: E402
from typer.exceptions import TyperException  # noqa: E402

from katcli import config as configuration  # noqa: E402
from katcli.log import Log  # noqa: E402
from katcli.options import UNCONFIGURABLE, Kind, parameter, shared_for  # noqa: E402
from katcli.run import Run, TooManyFailures  # noqa: E402
from katcli.signals import ENDINGS, Terminated  # noqa: E402
from katcore import __version__  # noqa: E402
from katcore.errors import EXTRAS, KatError, ReaderLeft, UsageError, not_installed  # noqa: E402
from katcore.options import NODEFAULT, Option, Options, build, check, options_of  # noqa: E402

if not os.path.basename(sys.argv[0]).startswith("kat-"):  # noqa: PTH119
    gc.enable()  # somebody who imports this, and is no command

EXIT_STATUS = (
    (0, "Done; also when the reader of the output left."),
    (1, "Failed."),
    (2, "Called wrongly or not configured."),
    (3, "Finished, but some records could not be processed (see --dead-letter)."),
    (4, "The input is bad, truncated or of another kind."),
    (75, "Another run holds the output; try again later."),
    (130, "Interrupted."),
    (143, "Terminated."),
)


class Command:
    """One command or subcommand: its function, the arguments, and the options, its own ahead of the shared ones.

    Read off the function at first use: a program looks at the one that was called.
    """

    def __init__(self, name: str, function: Callable[..., None], kind: Kind) -> None:
        self.name, self.function, self.kind = name, function, kind

    @functools.cached_property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        """Of the function, but for the first, which is the `Run`."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        own = list(inspect.signature(self.function).parameters.values())[1:]
        return {p.name: p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in own}

    @functools.cached_property
    def groups(self) -> dict[str, type[Options]]:
        """The parameters that are structs of options."""
        return {name: p.annotation for name, p in self._parameters.items() if _is_options(p.annotation)}

    @functools.cached_property
    def arguments(self) -> dict[str, inspect.Parameter]:
        """The other parameters."""
        return {name: p for name, p in self._parameters.items() if name not in self.groups}

    @functools.cached_property
    def own(self) -> tuple[Option, ...]:
        """Options that the command declares."""
        return tuple(option for group in self.groups.values() for option in options_of(group))

    @functools.cached_property
    def shared(self) -> tuple[Option, ...]:
        """Options that it has by what it puts out."""
        return shared_for(self.kind, frozenset(option.key for option in self.own))

    @property
    def options(self) -> tuple[Option, ...]:
        """All options, in the order of the help."""
        return self.own + self.shared

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


def _is_options(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Options)


class Program:
    """A command such as `kat-verify`: a default action, subcommands, or both."""

    def __init__(self, prog: str, summary: str) -> None:
        self.prog = prog
        self.summary = summary
        self.key = prog.removeprefix("kat-").replace("-", "_")
        self.commands: dict[str, Command] = {}

    def command(
        self, name: str = "", *, output: str = "records"
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Make a function the default action, or the subcommand `name`. Its first parameter is the `Run`."""

        def add(function: Callable[..., None]) -> Callable[..., None]:
            self.commands[name] = Command(name, function, Kind(output))
            return function

        return add

    def main(self) -> None:
        """The entry point: `kat-verify report FILE` is the subcommand, anything else the default action."""
        ENDINGS.catch()
        args = sys.argv[1:]
        word = args[0] if args else ""
        if word == "--version":
            print(f"{self.prog} {__version__}")
            return
        if word and word in self.commands:
            self._start(self.commands[word], args[1:], f"{self.prog} {word}")
        elif "" in self.commands:
            self._start(self.commands[""], args, self.prog)
        else:
            self._overview(word)

    def _overview(self, word: str) -> NoReturn:
        wanted = word in {"--help", "-h", "help"}
        out = sys.stdout if wanted else sys.stderr
        lines = [f"Usage: {self.prog} COMMAND [OPTIONS]", "", f"  {self.summary}", "", "Commands:"]
        width = max(len(name) for name in self.commands)
        lines += [f"  {name:<{width}}  {command.summary}" for name, command in self.commands.items()]
        lines += ["", f"{self.prog} COMMAND --help tells more."]
        if not wanted and word:
            lines = [f"{self.prog}: unknown command {word!r}", f"  hint: one of {', '.join(self.commands)}"]
        try:
            print("\n".join(lines), file=out, flush=True)
        except BrokenPipeError:
            _leave(0 if wanted else 2)
        sys.exit(0 if wanted else 2)

    def _start(self, command: Command, args: list[str], prog: str) -> None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(help=_help(self, command), context_settings={"help_option_names": ["-h", "--help"]})(
            _wrapped(self, command)
        )
        if {"-h", "--help"} & set(args):
            _print_help(app, args, prog)
        sys.exit(_call(app, args, prog))


def _call(app: typer.Typer, args: list[str], prog: str) -> int:
    """Call Typer; its four lines about a wrong call become one line and a hint. Returns the exit code."""
    try:
        return int(app(args=args, prog_name=prog, standalone_mode=False) or 0)
    except TyperException as error:
        message = error.format_message().rstrip(".")
        Log(prog.partition(" ")[0]).error(message[:1].lower() + message[1:], f"{prog} --help tells more", 2)
        return 2


def _print_help(app: typer.Typer, args: list[str], prog: str) -> NoReturn:
    """Write the help and exit. The text is made first: Typer would turn a reader that leaves into exit status 1."""
    os.environ["LANGUAGE"] = "C"  # it is English: gettext need not look for other languages at every word
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = _call(app, args, prog)
    try:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    except BrokenPipeError:
        _leave(0)
    sys.exit(code)


def _help(program: Program, command: Command) -> str:
    text = inspect.getdoc(command.function) or ""
    others = [f"{name}: {other.summary}" for name, other in program.commands.items() if name]
    if command.name == "" and others:
        text += "\n\nSubcommands:\n\n" + "\n\n".join(f"{program.prog} {other}" for other in others)
    return text


def _wrapped(program: Program, command: Command) -> Callable[..., None]:
    """The function that Typer calls: resolves configuration, runs, and turns what happened into an exit code."""

    @functools.wraps(command.function)
    def inner(ctx: typer.Context, **values: Any) -> None:
        log = Log(program.prog)
        options: dict[str, Any] = {}
        counts: dict[str, Any] = {}

        def body() -> tuple[int, bool]:
            nonlocal log
            options_, sources = _resolve(program, command, ctx, values)
            options.update(options_)
            log = Log(
                program.prog,
                as_json=options["log_format"] == "json",
                quiet=options["quiet"],
                verbose=options["verbose"],
            )
            if options["print_config"]:
                _print_config(command, options, sources)
                return 0, False
            return _run(command, log, options, counts)

        def cut_short(code: int) -> None:
            _say_stopped(log, code, ", and cut short: it did not end by itself")
            log.summary(code, counts | _about(options))

        ENDINGS.last_words = cut_short
        code, at_once = _guarded(body, lambda: log)
        log.summary(code, counts | _about(options))
        if at_once:
            _leave(code)

    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *command.arguments.values(),
        *map(parameter, command.options),
    ]
    inner.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    inner.__annotations__ = {each.name: each.annotation for each in parameters}
    return inner


def _guarded(body: Callable[[], tuple[int, bool]], log: Callable[[], Log]) -> tuple[int, bool]:
    """Run the body and turn any error into one line; returns (exit code, whether the process must end at once)."""
    try:
        code, at_once = body()
        _flush()
        return code, at_once or code != 0
    except SystemExit as silent:  # of a rank that does not speak
        return int(silent.code or 0), True
    except (ReaderLeft, BrokenPipeError):
        _mute()
        return 0, True
    except KatError as error:
        log().error(str(error), error.hint, error.code)
        log().traceback(error)
        return error.code, True
    except OSError as error:
        name = error.filename2 or error.filename  # of a copy: where to
        where = f": {name}" if name else ""
        log().error(f"{error.strerror or error}{where}")
        log().traceback(error)
        return 1, True
    except (KeyboardInterrupt, Terminated) as stop:
        code = 128 + stop.signal if isinstance(stop, Terminated) else 130
        _say_stopped(log(), code)
        return code, True
    except Exception as error:  # noqa: BLE001 - the edge: whatever is left is a bug of ours, and gets one line
        log().error(f"internal error: {type(error).__name__}: {error}", "-vv shows the traceback")
        log().traceback(error)
        return 1, True


def _say_stopped(log: Log, code: int, how: str = "") -> None:
    log.error(("interrupted" if code == 130 else "terminated") + how, code=code)


def _run(command: Command, log: Log, options: dict[str, Any], counts: dict[str, Any]) -> tuple[int, bool]:
    given: dict[str, Any] = {name: options[name] for name in command.arguments}
    for name, group in command.groups.items():
        given[name] = build(group, {option.key: options[option.field] for option in options_of(group)})
    run = Run(log, options)
    gc.enable()
    try:
        command.function(run, **given)
    except TooManyFailures:
        return 3, True
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise not_installed(error.name) from error
    finally:
        counts.update(run.counts)
    return 3 if run.counts.get("dead") else 0, run.at_once


def _about(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of the summary on the run itself."""
    if not options:
        return {}
    return {"seed": options["seed"]} | ({"dry_run": True} if options["dry_run"] else {})


def _resolve(
    program: Program, command: Command, ctx: typer.Context, values: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Every option's value, checked, and where it came from; by field."""
    files = configuration.layers(values["config"], not values["no_config"])
    if files:
        every = {option.key for other in program.commands.values() for option in other.options}
        configuration.check_keys(program.key, every, files, UNCONFIGURABLE)
    options: dict[str, Any] = {name: values[name] for name in command.arguments}
    sources: dict[str, str] = dict.fromkeys(command.arguments, "flag")
    for option in command.options:
        source = ctx.get_parameter_source(option.field)
        value = values[option.field]
        if option.repeats:
            value = tuple(value or ())
        elif value is None:
            value = option.default
        given = source is not None and source.name == "COMMANDLINE"
        found = None
        if not given and option.key not in UNCONFIGURABLE:
            found = configuration.lookup(program.key, option.key.replace("-", "_"), files, os.environ)
        if found is None:
            options[option.field] = check(option, value) if given else value
            sources[option.field] = "flag" if given else "default"
        else:
            options[option.field], sources[option.field] = configuration.value_of(found, option), found.source
    return options, sources


def _print_config(command: Command, options: dict[str, Any], sources: dict[str, str]) -> None:
    keys = {name: name.replace("_", "-") for name in command.arguments}
    keys |= {option.field: option.key for option in command.options}
    rows = []
    for name, key in keys.items():
        value = options[name]
        values = value if isinstance(value, list | tuple) else [] if value in (None, NODEFAULT) else [value]
        rows.append((key, " ".join(map(str, values)), sources[name]))
    width = max(len(row[0]) for row in rows)
    for key, shown, source in rows:
        print(f"{key:<{width}} = {shown:<24} # {source}")


def _flush() -> None:
    """Flush standard output, so that a full disk or a reader that leaves is noticed before the interpreter exits."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderLeft from error
    except OSError as error:
        raise KatError(f"cannot write standard output: {error.strerror}") from error


def _mute() -> None:
    """Point standard output at nothing, as Python flushes it once more at its end."""
    with open(os.devnull, "w") as null:  # noqa: PTH123
        os.dup2(null.fileno(), 1)


def _leave(code: int) -> NoReturn:
    """End the process at once: worker threads may still wait for processes, which die with this one."""
    _mute()
    sys.stderr.flush()
    os._exit(code)


def required(value: Any, option: str, hint: str = "") -> Any:
    """The option's value; UsageError with `hint` where neither a flag nor the environment nor a file gave one."""
    if value is None or value == "":
        raise UsageError(f"--{option} is missing", hint=hint)
    return value
