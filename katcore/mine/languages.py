"""Which language a file is written in, by linguist's names, extensions and file names.

In: a path and, where the patch shows some of it, content. Out: linguist's name for the language (TSX counts as
TypeScript, as in linguist's statistics), or null. The facts are in `languages.tsv`; extensions that several languages
share are settled by content or by the other files of the change. A file is never read from disk.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MAIN = frozenset(
    """
    Python Java TypeScript JavaScript C C++ C# Kotlin Go Rust PHP Ruby Swift Objective-C Scala R Shell SQL MATLAB Dart
    Lua Elixir Haskell Perl
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""The 24 languages of the taxonomy."""

_SHEBANG = re.compile(rb"\A#!\s*(?:\S*/)?([^/\s]+)(?:\s+(?:-S\s+)?(?:-\S+\s+|\w+=\S+\s+)*([^\s/]+))?")


@dataclass(frozen=True)
class Facts:
    """The table `languages.tsv`, turned into maps from names and suffixes to languages."""

    kinds: Mapping[str, str]
    extensions: Mapping[str, str]
    names: Mapping[str, str]
    interpreters: Mapping[str, str]


def _rule(*rows: tuple[bytes, str]) -> list[tuple[re.Pattern[bytes], str]]:
    return [(re.compile(pattern, re.M), language) for pattern, language in rows]


_OBJECTIVE_C = rb"^\s*(@(interface|class|protocol|property|end|synthesize|implementation|import)\b|#import\s)"
_CPP = rb"^\s*(template\s*<|class\s+\w|namespace\s|using\s+\w|(public|private|protected)\s*:|#include\s*<\w+>)|\bstd::"
_VERILOG = rb"^\s*((module|input|output|wire|reg|always|assign|endmodule|initial)\b|`(define|include|timescale)\b)"

AMBIGUOUS: Mapping[str, list[tuple[re.Pattern[bytes], str]]] = {
    ".h": _rule((_OBJECTIVE_C, "Objective-C"), (_CPP, "C++")),
    ".m": _rule(
        (_OBJECTIVE_C + rb"|^\s*#include\s|^\s*//|\[\w+ \w+", "Objective-C"),
        (rb"^\s*(function\b.*[=(]|%|classdef\b)|^\s*\w+\s*=\s*.*;\s*(%.*)?$|^\s*end\s*;?$", "MATLAB"),
    ),
    ".pl": _rule((rb"^[^#\n]*:-", "Prolog"), (rb"\buse\s+v6\b", "Raku")),
    ".t": _rule((rb"\buse\s+v6\b|^\s*(my )?class \w", "Raku")),
    ".pro": _rule((rb"^[^#%\n]*:-", "Prolog"), (rb"^\s*(TEMPLATE|QT|SOURCES|HEADERS|CONFIG)\s*\+?=", "QMake")),
    ".r": _rule((rb"^\s*rebol\b", "Rebol")),
    ".v": _rule((_VERILOG, "Verilog"), (rb"^\s*(Require|Proof|Qed|Lemma|Theorem|Definition)\b", "Rocq Prover"),
                (rb"^\s*(pub\s+)?fn\s+\w+.*\{|^module \w+$", "V")),
    ".ts": _rule((rb"<TS\b|<!DOCTYPE TS>|^\s*<(message|source|translation)\b", "XML")),
    ".cs": _rule((rb"^!\w+ methodsFor:", "Smalltalk")),
    ".cls": _rule((rb"^\s*(Attribute VB_|VERSION \d)", "VBA"), (rb"\b(global|public|private)\b.*\bclass\b", "Apex")),
    ".d": _rule((rb"^[^\s:=]+\.o\s*:", "Makefile")),
    ".fs": _rule((rb"^\s*(#version|precision|uniform|varying|void main)\b", "GLSL"), (rb"^\s*: \S", "Forth")),
    ".l": _rule((rb"^\s*\((def|setf?q?)", "Common Lisp"), (rb"^\.[A-Za-z]{2}\s", "Roff")),
    ".inc": _rule((rb"<\?php", "PHP"), (rb"^\s*#\s*(include|define|if)", "C++"), (rb"<\w+[\s>]", "HTML")),
    ".sql": _rule((rb"\$\$|\bLANGUAGE\s+'?plpgsql", "PLpgSQL")),
    ".st": _rule((rb"<\w+", "HTML")),
    ".frag": _rule((rb"^\(function|\bvar\b.*=", "JavaScript")),
    ".pp": _rule((rb"^\s*(unit|program|begin|procedure)\b", "Pascal")),
    ".ml": _rule((rb"^\s*(structure|signature|functor|fun)\b", "Standard ML")),
    ".rs": _rule((rb"^\s*#include|#pragma rs", "RenderScript")),
}  # fmt: skip
"""For ambiguous suffixes, patterns of content and the language that each means; the first match decides."""

DEFAULTS = {".h": "C", ".m": "MATLAB", ".pro": "IDL", ".inc": "", ".frag": "GLSL"}


@cache
def facts() -> Facts:
    """The maps of `languages.tsv`, read once."""
    kinds: dict[str, str] = {}
    extensions: dict[str, str] = {}
    names: dict[str, str] = {}
    interpreters: dict[str, str] = {}
    for line in (files("katcore.mine") / "languages.tsv").read_text("utf-8").splitlines()[1:]:
        language, kind, suffixes, specials, programs = line.split("\t")
        kinds[language] = kind
        extensions.update((suffix.lower(), language) for suffix in suffixes.split())
        names.update((name, language) for name in specials.split())
        interpreters.update((program, language) for program in programs.split())
    return Facts(kinds, extensions, names, interpreters)


def language(path: str, text: bytes = b"", neighbours: Collection[str] = ()) -> str:
    """The language of a file; `neighbours` are the suffixes of the other files in the change. Empty: unknown."""
    table = facts()
    name = path.rpartition("/")[2]
    if known := table.names.get(name):
        return known
    for suffix in _suffixes(name.lower()):
        if suffix in AMBIGUOUS:
            return _by_content(suffix, text, neighbours)
        if known := table.extensions.get(suffix):
            return known
    if name.startswith(("Dockerfile.", "Makefile.", "Jenkinsfile.", "Containerfile.")):
        return table.names[name.partition(".")[0]]
    return _by_shebang(text) if "." not in name else ""


def _suffixes(name: str) -> list[str]:
    """All suffixes of a name, the longest first: `.d.ts` and `.ts` of `a.d.ts`."""
    parts = name.split(".")
    return ["." + ".".join(parts[i:]) for i in range(1, len(parts))][-3:]


def _by_content(suffix: str, text: bytes, neighbours: Collection[str]) -> str:
    if suffix == ".h" and not re.search(_OBJECTIVE_C, text, re.M):
        if any(other in neighbours for other in (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".cu")):
            return "C++"
        if ".c" in neighbours:
            return "C"
    if suffix in (".h", ".m") and any(other in neighbours for other in (".mm", ".xib", ".storyboard", ".pbxproj")):
        return "Objective-C"
    if suffix == ".m" and ".h" in neighbours:
        return "Objective-C"
    for pattern, found in AMBIGUOUS[suffix]:
        if pattern.search(text):
            return found
    return DEFAULTS.get(suffix, "") or facts().extensions.get(suffix, "")


def _by_shebang(text: bytes) -> str:
    match = _SHEBANG.match(text)
    if not match:
        return ""
    program = match[2] if match[1] == b"env" and match[2] else match[1]
    name = program.decode("ascii", "replace")
    return facts().interpreters.get(name) or facts().interpreters.get(re.sub(r"[\d.]+$", "", name), "")


def main_language(added: Mapping[str, int]) -> str:
    """The programming language with the most bytes; of the 24 if one is there, SQL among them. Empty: none."""
    if len(added) == 1 and not added.keys() - MAIN:
        return next(iter(added))
    kinds = facts().kinds
    code = {name: size for name, size in added.items() if kinds.get(name) == "programming" or name in MAIN}
    best = {name: size for name, size in code.items() if name in MAIN} or code
    return max(sorted(best), key=lambda name: best[name], default="")
