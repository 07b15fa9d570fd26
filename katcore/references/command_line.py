"""What a shell's command line does, as far as can be told without running it.

In: the line, of any number of lines. Out: the kind of tool that it stands for, the words of what runs, and the files
that it names. What does not run is none of it: comments, what stands behind `exit` or `false &&`, under `if false`, in
a function that is only defined; nor is what is only said: the operands of `echo` that nobody reads, a here-document
that is shown. A file is called by its path from where the line has gone by `cd`.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

PROGRAMS = {
    "read": "cat head tail less more nl bat sed awk wc diff",
    "list": "ls find tree pwd stat file fd",
    "search": "grep egrep fgrep rg ag ack",
    "write": "tee patch mv cp rm mkdir touch apply_patch ln chmod truncate",
    "": "cd export set source . xargs sort uniq",
    "idle": "echo : true false printf sleep test [ [[ expr let id date which type hostname whoami uname tty seq yes "
    "basename dirname alias unset trap wait",
}
COMMANDS = {name: kind for kind, names in PROGRAMS.items() for name in names.split()}
EXPRESSION_FIRST = frozenset({"sed", "awk", "grep", "egrep", "fgrep", "rg", "ag", "ack"})
STRONGEST = ("write", "run", "search", "list", "read")
"""Kinds of tool, strongest first; a command line counts as the strongest kind among its commands."""
IDLE = "idle"
"""The kind of a line that does nothing but talk."""
SHELLS = frozenset({"bash", "sh", "dash", "zsh", "ksh"})
REDIRECTIONS = frozenset({">", ">>", "&>", "&>>"})
TRIES = frozenset({"--dry-run", "--check", "--help", "--version", "--stat", "--numstat"})
"""Options with which a program that writes does not."""
LONGEST = 20_000
"""The most characters of a line that are read as commands; here-documents are none."""

_WORD = re.compile(r"\w+|[^\w\s]")
_HERE = re.compile(r"<<-?\s*(?:'(\w+)'|\"(\w+)\"|\\?(\w+))")
_PATHLIKE = re.compile(r"^(?!-)(?!\w+://)(?=.*/)[\w.@+~-]*(?:/[\w.@+~-]+)*/?$|^[\w-][\w.-]*\.[A-Za-z]\w{0,7}$")
DECIDE = frozenset({"test", "[", "[[", "expr", "let"})
"""Idle programs that may succeed or fail."""
DOES = ("run", "write")
_OPEN = ("if", "elif", "then", "else", "do", "while", "until", "{", "!", "fi", "done", "}")
_ENDS = {"if": ("else", "elif", "fi"), "elif": ("else", "elif", "fi"), "while": ("done",), "until": ("done",)}


@dataclass(frozen=True)
class Line:
    """What a command line does."""

    kind: str
    text: str
    files: frozenset[str]


@dataclass
class _Command:
    """A simple command: the operator before it, its words, whether it writes, what follows it, its here-document."""

    before: str
    words: list[str]
    writes: bool = False
    after: str = ";"
    data: str = ""


def words_of(text: str) -> Counter[str]:
    """How often each word and each mark occurs."""
    return Counter(_WORD.findall(text))


def read_line(text: str) -> Line:
    """The line's kind, the text of what runs, and its files."""
    kinds, said, files, folder = set[str](), [], set[str](), ""
    commands = list(_that_run(list(_commands(text))))
    for command, reader in zip(commands, [*commands[1:], None]):
        kind = _kind(command)
        heard = command.writes or (reader is not None and command.after == "|" and _kind(reader) in DOES)
        if kind == IDLE and not command.writes:
            said.append(" ".join(command.words) if heard else command.words[0])
            kinds.add(IDLE)
            continue
        said += [" ".join(command.words), command.data if heard or kind in DOES else ""]
        kinds.add("write" if command.writes else kind)
        if _program(command.words) == "cd":
            folder = _joined(folder, command.words[1] if len(command.words) > 1 else "")
        else:
            files |= {_joined(folder, word.rstrip("/")) for word in _operands(command.words) if _PATHLIKE.match(word)}
    strongest = next((kind for kind in STRONGEST if kind in kinds), IDLE if kinds <= {IDLE} else "run")
    return Line(strongest, "\n".join(said), frozenset(files))


def _commands(text: str) -> Iterator[_Command]:
    """All simple commands, in order."""
    for line, data in _with_data(text):
        command = _Command(";", [])
        for word in [*_split(line), ";"]:
            if word and set(word) <= set("();|&"):
                if command.words:
                    command.after = word
                    command.data, data = (data, "") if "<<" in command.words else (command.data, data)
                    yield command
                command = _Command(word, [])
            else:
                if command.words or not re.match(r"^\w+=", word):  # not a variable set ahead of the program
                    command.words.append(word)
                writing = len(command.words) > 1 and command.words[-2] in REDIRECTIONS
                command.writes |= writing and not word.startswith("/dev/")


def _with_data(text: str) -> Iterator[tuple[str, str]]:
    """(commands, the here-document that they read): the lines up to each here-document, and what is behind the last."""
    lines, kept = iter(text.split("\n")), list[str]()
    for line in lines:
        kept.append(line)
        if found := _HERE.search(line):
            end, data = next(filter(None, found.groups())), list[str]()
            for inner in lines:
                if inner.strip() == end:
                    break
                data.append(inner)
            yield "\n".join(kept), "\n".join(data)
            kept = []
    yield "\n".join(kept), ""


def _split(line: str) -> list[str]:
    """The words and operators of some lines, without comments; a line's end is `;`."""
    line = _uncommented(line[:LONGEST])
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:  # a quote that nobody closed
        return line.split()


def _uncommented(text: str) -> str:
    kept, quote, at = list[str](), "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            kept.append(text[at : at + 2] if text[at : at + 2] != "\\\n" else " ")
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == 0 or text[at - 1] in " \t\n;|&("):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            continue
        kept.append(" ; " if char == "\n" and not quote else char)
        at += 1
    return "".join(kept)


def _that_run(commands: list[_Command]) -> Iterator[_Command]:
    """Those that are not passed over for sure."""
    status = _Status.OPEN
    until: tuple[str, ...] = ()
    for command in commands:
        words = command.words
        if until:
            if words[0] not in until:
                continue
            until = ()
        if command.before == "()" or words[0] == "function":  # a function's body
            until = ("}",)
            continue
        if command.before in _PASSED_OVER.get(status, ()) or command.after == "()":
            continue
        if words[0] in _ENDS and _status(words[1:]) is (_Status.GOOD if words[0] == "until" else _Status.BAD):
            until = _ENDS[words[0]]
            continue
        while words and words[0] in _OPEN:
            words = words[1:]
        if not words:
            continue
        certain = words is command.words and (command.before not in ("&&", "||") or status is not _Status.OPEN)
        if words[0] in ("exit", "return") and certain:
            return
        status = _status(words)
        if not (_program(words) in SHELLS and "-n" in words[1:2]):
            yield _Command(command.before, words, command.writes, command.after, command.data)


class _Status(Enum):
    """How a command ends: well, badly, one of the two without doing anything; OPEN: it does something, who knows."""

    GOOD = 0
    BAD = 1
    EITHER = 2
    OPEN = 3


_PASSED_OVER: dict[_Status, tuple[str, ...]] = {
    _Status.GOOD: ("||",),
    _Status.BAD: ("&&",),
    _Status.EITHER: ("&&", "||"),
}
"""The operators behind which nothing runs for sure after a command that ends so."""


def _status(words: list[str]) -> _Status:
    program = _program(words) if words else ""
    if COMMANDS.get(program) != IDLE:
        return _Status.OPEN
    return _Status.BAD if program == "false" else _Status.EITHER if program in DECIDE else _Status.GOOD


def _program(words: list[str]) -> str:
    return words[0].rsplit("/", 1)[-1]


def _kind(command: _Command) -> str:
    words, program = command.words, _program(command.words)
    if program == "sed" and any(word.startswith(("-i", "--in-place")) for word in words):
        return "write"
    kind = COMMANDS.get(program, "run")
    if program == "git" and len(words) > 1:
        kinds = {"grep": "search", "apply": "write", "checkout": "write", "diff": "read", "show": "read"}
        kind = kinds.get(words[1], "run")
    return "read" if kind == "write" and TRIES & set(words) else kind


def _operands(words: list[str]) -> list[str]:
    """The words of a command that may be files: those after the program, but the expression of sed or grep."""
    operands = [word for word in words[1:] if not word.startswith("-")]
    return operands[1:] if _program(words) in EXPRESSION_FIRST else operands


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path)) if folder else path
