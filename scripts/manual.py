"""Man pages from the commands' own signatures: `man/kat-X.1.in` holds the prose, placeholders hold the rest.

Usage: python scripts/manual.py [--check]
"""

from __future__ import annotations

import sys

import drift

from katcli.contract import EXIT_STATUS, Program
from katcli.surface import Option, Surface, programs, surface
from katcore import __version__

DATE = "2026-11-22"
"""The release's date, not today's: pages are the same bytes whenever they are made."""

ENVIRONMENT = (
    ("KAT_<COMMAND>_<OPTION>, KAT_<OPTION>", "An option's value where no flag gives it, such as KAT_MODEL."),
    ("KAT_CACHE", "Where downloads and built environments are kept; by default $XDG_CACHE_HOME/kat."),
    ("KAT_DEBUG", "When set, an error is followed by its traceback."),
)
SANDBOX_ENVIRONMENT = (
    ("DOCKER_HOST", "The Docker engine to use, instead of this machine's."),
    ("KAT_IMAGES", "A folder with exported images of tasks, NAME.tar, which then need no engine."),
    ("KAT_BUBBLEWRAP_BASE, KAT_DOCKER_BASE", "A root file system for all boxes: a folder or tarball, or an image."),
    ("KAT_DOCKER_RUNTIME", "The engine's runtime where --runtime is not given."),
    ("KAT_DOCKER_CACHE_GIB", "How much the layers that are made for boxes may take in the engine; 20."),
)
FILES = (
    ("./kat.toml", "Options of this folder: top-level keys are shared, a table such as [mine] is one command's."),
    ("$XDG_CONFIG_HOME/kat/kat.toml", "The same, of this user; weaker."),
    ("FILE.part, FILE.journal, FILE.lock", "An output while it is being written; --resume goes on from the first two."),
)


def escape(text: str) -> str:
    """Text as roff takes it: no control lines, plain hyphens."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def prose(text: str) -> str:
    """Docstring paragraphs as roff ones; indented blocks are kept as they are."""
    out = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(("    ", "  ")):
            out.append(".PP\n.RS 4\n.nf\n" + escape("\n".join(line.strip() for line in paragraph.split("\n"))))
            out.append(".fi\n.RE")
        else:
            out.append(".PP\n" + escape(" ".join(paragraph.split())))
    return "\n".join(out).removeprefix(".PP\n")


def tagged(term: str, text: str) -> str:
    """One entry of a definition list."""
    return f".TP\n{term}\n{escape(text) or chr(92) + '&'}"


def entry(option: Option) -> str:
    """An option's entry: its flags in bold, its value in italics, its help, choices and default."""
    value = "|".join(option.values) or option.metavar
    shown = f" \\fI{escape(value)}\\fR" if option.takes_value else ""
    if option.flags:
        spelled = [part for flag in option.flags for part in flag.split("/")]
        term = ", ".join(f"\\fB{escape(flag)}\\fR" for flag in spelled) + shown
    else:
        term = f"\\fI{escape(value)}\\fR"
    text = option.help + (f" Default: {option.default}." if option.default else "")
    return tagged(term, text + (" May be repeated." if option.repeats and option.flags else ""))


def synopsis(program: Program, seen: Surface) -> str:
    name = f"\\fB{escape(program.prog)}\\fR" + (f" \\fB{escape(seen.name)}\\fR" if seen.name else "")
    arguments = " ".join(f"\\fI{escape(argument.metavar)}\\fR" for argument in seen.arguments)
    return f"{name} [\\fIOPTION\\fR]... {arguments}".rstrip()


def page(program: Program, template: str) -> str:
    """The whole page."""
    surfaces = [surface(command) for command in program.commands.values()]
    boxes = any("--sandbox" in option.flags for seen in surfaces for option in seen.options)
    variables = ENVIRONMENT + (SANDBOX_ENVIRONMENT if boxes else ())
    parts = {
        "@TITLE@": f'.TH {program.prog.upper()} 1 "{DATE}" "KAT {__version__}" "KAT"',
        "@NAME@": f".SH NAME\n{escape(program.prog)} \\- {escape(program.summary.rstrip('.'))}",
        "@SYNOPSIS@": ".SH SYNOPSIS\n" + "\n.br\n".join(synopsis(program, seen) for seen in surfaces),
        "@OPTIONS@": "\n".join(_options(program, seen) for seen in surfaces) + "\n" + _shared(surfaces),
        "@EXIT_STATUS@": ".SH EXIT STATUS\n" + "\n".join(tagged(f"\\fB{code}\\fR", text) for code, text in EXIT_STATUS),
        "@ENVIRONMENT@": ".SH ENVIRONMENT\n" + "\n".join(tagged(f"\\fB{escape(n)}\\fR", t) for n, t in variables),
        "@FILES@": ".SH FILES\n" + "\n".join(tagged(f"\\fI{escape(n)}\\fR", t) for n, t in FILES),
        "@SEE_ALSO@": ".SH SEE ALSO\n" + _see_also(program),
    }
    for placeholder, text in parts.items():
        template = template.replace(placeholder, text)
    return template


def _options(program: Program, seen: Surface) -> str:
    own = [entry(option) for option in (*seen.arguments, *seen.options) if not option.shared]
    title = f"{program.prog} {seen.name}".strip()
    head = f".SH OPTIONS OF {escape(title.upper())}" if len(program.commands) > 1 else ".SH OPTIONS"
    text = prose(f"{seen.summary}\n\n{seen.text}".strip()) if len(program.commands) > 1 else ""
    return "\n".join(part for part in (head, text, *own) if part)


def _shared(surfaces: list[Surface]) -> str:
    by_name = {option.name: option for seen in surfaces for option in seen.options if option.shared}
    return ".SH SHARED OPTIONS\n" + "\n".join(entry(option) for option in by_name.values())


def _see_also(program: Program) -> str:
    others = [other.prog for other in programs() if other.prog != program.prog]
    return ",\n".join(f"\\fB{escape(name)}\\fR(1)" for name in others)


def main() -> int:
    wanted = {}
    for program in programs():
        template = (drift.ROOT / "man" / f"{program.prog}.1.in").read_text(encoding="utf-8")
        wanted[f"man/{program.prog}.1"] = page(program, template).rstrip("\n") + "\n"
    return drift.settle(wanted, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
