"""The SPDX identifier of a project's licence, from its licence file or its packaging metadata.

In: a few files of the project's top folder. Out: an SPDX expression, or null when nothing is known for sure. Only well-
known texts are recognised, by phrases that they alone contain; GPL versions are named without «only» or «or later»,
which the text does not tell (as GitHub does).
"""

from __future__ import annotations

import email.parser
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

FILES = re.compile(
    r"((un)?licen[sc]es?|copying)([-._].*)?|pyproject\.toml|setup\.cfg|package\.json|cargo\.toml|pkg-info", re.I
)
"""Matches the names of files in the top folder that tell the licence."""

_TITLES = (
    (r"gnu affero general public license version 3", "AGPL-3.0"),
    (r"gnu lesser general public license version 3", "LGPL-3.0"),
    (r"gnu lesser general public license version 2\.1", "LGPL-2.1"),
    (r"gnu library general public license version 2", "LGPL-2.0"),
    (r"gnu general public license version 3", "GPL-3.0"),
    (r"gnu general public license version 2", "GPL-2.0"),
    (r"apache license,? version 2\.0", "Apache-2.0"),
    (r"mozilla public license,? version 2\.0", "MPL-2.0"),
    (r"eclipse public license -? ?v ?2\.0", "EPL-2.0"),
    (r"eclipse public license -? ?v ?1\.0", "EPL-1.0"),
    (r"european union public licence v\. ?1\.2", "EUPL-1.2"),
    (r"boost software license - version 1\.0", "BSL-1.0"),
    (r"cc0 1\.0 universal", "CC0-1.0"),
    (r"(creative commons )?attribution 4\.0 international", "CC-BY-4.0"),
    (r"the artistic license 2\.0", "Artistic-2.0"),
    (r"common development and distribution license.{0,20}version 1\.0", "CDDL-1.0"),
    (r"university of illinois/ncsa", "NCSA"),
    (r"do what the fuck you want to public license", "WTFPL"),
    (r"python software foundation license version 2", "PSF-2.0"),
)
"""(title, licence), looked for at the start of a text; the match that comes first in the text counts."""

_MIT = "permission is hereby granted, free of charge, to any person obtaining a copy of this software"
_MIT_NOTICE = "permission notice shall be included in all"
_BSD = ("redistributions of source code must retain", "redistributions in binary form must reproduce")
_ISC = "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"
_ISC_OLD = _ISC.replace("and/or", "and")
_ZLIB = "the origin of this software must not be misrepresented"
_UNLICENSE = "this is free and unencumbered software released into the public domain"

_CLASSIFIERS = {
    "MIT License": "MIT", "BSD License": "BSD-3-Clause", "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only", "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Python Software Foundation License": "PSF-2.0", "zlib/libpng License": "Zlib",
}  # fmt: skip


def spdx(files: Mapping[str, bytes]) -> str | None:
    """The licence from {name: content} of a project's top folder: an expression stated, else a text, else a label."""
    texts = {name.lower(): data.decode("utf-8", "replace") for name, data in sorted(files.items())}
    stated = [_expression(field) for name, text in texts.items() for field in _fields(name, text)]
    named = [found for name, text in texts.items() if _is_text(name) for found in [of_text(text)] if found]
    labels = [_CLASSIFIERS.get(label.rpartition(" :: ")[2]) for label in _labels(texts)]
    unique = sorted(set(named))
    written = " OR ".join(unique) if unique else None  # LICENSE-MIT beside LICENSE-APACHE: the reader may choose
    return next((found for found in [*stated, written, *labels] if found), None)


def of_text(text: str) -> str | None:
    """The SPDX id of the licence whose text this is; None if it is not known."""
    flat = re.sub(r"[\s*#>]+", " ", text.lower())
    start = flat[:1500]
    titled = [(match.start(), name) for title, name in _TITLES if (match := re.search(title, start))]
    if titled:
        return min(titled)[1]
    if _MIT in flat:
        return "MIT" if _MIT_NOTICE in flat else "MIT-0"
    if all(phrase in flat for phrase in _BSD):
        if "all advertising materials mentioning" in flat:
            return "BSD-4-Clause"
        return (
            "BSD-3-Clause" if re.search(r"neither the names? of|may not be used to endorse", flat) else "BSD-2-Clause"
        )
    if _ISC in flat or _ISC_OLD in flat:
        return "ISC" if "provided that the above copyright notice" in flat else "0BSD"
    if _ZLIB in flat:
        return "Zlib"
    return "Unlicense" if _UNLICENSE in flat else None


def _is_text(name: str) -> bool:
    return bool(re.match(r"((un)?licen[sc]e|copying)", name))


def _fields(name: str, text: str) -> list[str]:
    """What packaging metadata says in its licence field."""
    if name in ("pyproject.toml", "cargo.toml"):
        table = _toml(text)
        python, poetry, cargo = (
            table.get("project", {}),
            table.get("tool", {}).get("poetry", {}),
            table.get("package", {}),
        )
        found = [part.get("license") for part in (python, poetry, cargo) if isinstance(part, dict)]
        return [_text(field) for field in found]
    if name == "package.json":
        try:
            table = json.loads(text)
        except ValueError:
            return []
        return [_text(table.get("license"))] if isinstance(table, dict) else []
    if name == "pkg-info":
        head = email.parser.HeaderParser().parsestr(text)
        return [str(head.get(key, "")) for key in ("License-Expression", "License")]
    if name == "setup.cfg":
        return re.findall(r"^license\s*=\s*(\S[^\n]*)$", text, re.M)
    return []


def _labels(texts: Mapping[str, str]) -> list[str]:
    found: list[str] = re.findall(r"License :: [^\"'\n,]+", "\n".join(texts.values()))
    return [label.strip() for label in found]


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _text(field: Any) -> str:
    """The text of a licence field: `license = "MIT"`, `license = {text = "MIT"}`, or `{"type": "MIT"}`."""
    if isinstance(field, dict):
        field = field.get("text") or field.get("type")
    return field if isinstance(field, str) else ""


def _expression(text: str) -> str | None:
    """A valid SPDX expression in SPDX's spelling; free text such as «BSD style» is none."""
    try:
        return str(canonicalize_license_expression(text.strip().replace("/", " OR "))) if text.strip() else None
    except (InvalidLicenseExpression, ValueError):
        return None
