"""What is a person's in a text is taken out: home folders, names, e-mail addresses, keys and tokens.

In: the texts of one session, first all of them to `learn` from, then each to be changed. Out: the text with
placeholders, the same one for the same thing throughout a session; how often each kind was replaced is in `removed`.
Replaced are: a person's folder below `/home`, `/Users` or `C:\\Users`; the name of the session's own such folder
wherever it stands as a word; the names and addresses that git writes (`Name <address>`); other e-mail addresses; and
what `secrets` knows. Names of accounts that say nothing of a person (`root`, `ubuntu`, `runner`) stay, and addresses
that are made up or a machine's. Not found: a name that stands in a text by itself.
"""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from katcore.trajectory.sessions.secrets import SECRETS

_SEP = r"(?:/|\\{1,4})"
_ROOTS = r"(?:(?:/var|/export|/data|/nfs)?/home/|(?:/mnt/[a-z]|/System/Volumes/Data|/[a-z])?/Users/)"
_NO_NAME = r"/\\\s\"'<>|:*?,;()\[\]{}$`%"
_HOME = re.compile(rf"((?<![\w.-]){_ROOTS}|\b[A-Za-z]:{_SEP}Users{_SEP})([^{_NO_NAME}.][^{_NO_NAME}]*)")
_CHILD = re.compile(
    r"[/\\]+(?:\.\w+|Desktop|Documents|Downloads|Library|AppData|bin|code|dev|git|github|go|projects?|repos?|src|work\w*)\b"
)
"""What stands below a home, but hardly below the route `/home/NAME` of a web application."""
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}\b"
_EMAIL = re.compile(rf"(?<![\w.+-])(?<![^/]/)(?!REMOVED_SECRET)[A-Za-z0-9][\w.+-]*@{_DOMAIN}")
_WORD = r"(?![a-z])[^\W\d_][\w.'’-]*"
_NAME = rf"{_WORD}(?: (?:{_WORD}|van|von|der|den|de|di|da|la|le|bin|al|\(\w+\))){{0,4}}"
_TRAILER = r"(?:(?<=uthor: )|(?<=mitter: )|(?<=agger: )|(?<=-by: ))[^<>\n]{1,60}?"
_PERSON = re.compile(rf"({_TRAILER}|{_NAME})( <)({_EMAIL.pattern})(?=>)")
_LISTED = re.compile(r"(?m)^([bcdlps-][rwxsStT-]{9}[.+@]?\s+\d+\s+)(\S+)(\s)")
_ACCOUNTS = """
    Public Shared admin administrator agent app builder circleci codespace codex debian default dev developer docker
    ec2-user foo git gitpod guest home jenkins jovyan linuxbrew me name nobody node nonroot opc person pi postgres
    root runner sandbox someone somebody test tester travis ubuntu user username vagrant vscode work workspace
    www-data you your yourname your-name your_username youruser your-username
"""
ACCOUNTS = frozenset(_ACCOUNTS.split())
"""Accounts that are no person's; compared in lower case too."""
MACHINES = re.compile(
    r"(?i)^(?:no-?reply|git|hg|svn|.*\[bot\]|.*-bot|dependabot|bot)@"
    r"|@(?:.*\.)?(?:example|test|invalid)(?:\.\w+)?$|@localhost"
)
"""Addresses that are a machine's, or made up."""
_SUFFIXES = "png jpg jpeg gif svg webp ico js ts tsx jsx mjs cjs css html json yaml yml toml txt"
SUFFIXES = frozenset(_SUFFIXES.split())
"""Ends of file names that look like those of addresses: `icon@2x.png`."""
WORDS = frozenset(keyword.kwlist) | frozenset(dir(builtins))
SHORTEST = 4
"""Letters that an account's name must have to be looked for outside of paths."""


class Redaction:
    """The placeholders of one session."""

    def __init__(self) -> None:
        self.removed: Counter[str] = Counter()
        self._accounts: dict[str, str] = {}
        self._people: dict[str, int] = {}  # by address, in lower case
        self._names: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._own: re.Pattern[str] | None = None
        self._known: re.Pattern[str] | None = None

    # ------------------------------------------------------------------ learning

    def learn(self, texts: Iterable[str], own: Iterable[str] = ()) -> None:
        """Find the names that these texts tell. `own` are folders of the session's own, such as where it worked."""
        accounts = [found[2] for folder in own for found in _HOME.finditer(folder + "/") if _personal(found[2])]
        for name in accounts:  # first: the developer is `user`
            self._account(name)
        for text in texts:
            for found in _PERSON.finditer(text) if "@" in text else ():
                if not MACHINES.search(found[3]):
                    self._names.setdefault(found[1], f"Person {self._person(found[3])}")
            for found in _HOME.finditer(text):
                if _personal(found[2]) and _is_home(found):
                    self._account(found[2])
        words = sorted({name for name in accounts if len(name) >= SHORTEST} - WORDS, key=len, reverse=True)
        if words:
            self._own = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, words))})(?![A-Za-z0-9])")
        names = sorted((name for name in self._names if " " in name), key=len, reverse=True)
        if names:
            self._known = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)")

    def _account(self, name: str) -> str:
        number = len(self._accounts) + 1
        return self._accounts.setdefault(name, "user" if number == 1 else f"user{number}")

    def _person(self, address: str) -> int:
        return self._people.setdefault(address.lower(), len(self._people) + 1)

    # ------------------------------------------------------------------ replacing

    def text(self, text: str) -> str:
        """The text with placeholders."""
        for pattern in SECRETS:
            text = pattern.sub(self._secret, text)
        if "@" in text:
            text = _PERSON.sub(self._signed, text)
            text = _EMAIL.sub(self._address, text)
        if self._known is not None:
            text = self._known.sub(self._name, text)
        text = _HOME.sub(self._home, text)
        text = _LISTED.sub(self._owner, text) if self._accounts else text
        return text if self._own is None else self._own.sub(self._word, text)

    def value(self, value: Any) -> Any:
        """A JSON value with placeholders in all its texts, names of members included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(each) for name, each in value.items()}
        return value

    def arguments(self, text: str) -> str:
        """A call's arguments, JSON in a text, with placeholders: what is escaped in it is looked at unescaped."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(text)
        changed = self.value(value)
        return text if changed == value else json.dumps(changed, ensure_ascii=False)

    # ------------------------------------------------------------------ one find

    def _secret(self, found: re.Match[str]) -> str:
        group = 1 if found.lastindex else 0
        secret = found[group]
        if secret.startswith("REMOVED_SECRET_") or len(set(secret)) < 4:  # ours; xxxxxxxx, ********
            return found[0]
        self.removed["secrets"] += 1
        placed = self._secrets.setdefault(secret, f"REMOVED_SECRET_{len(self._secrets) + 1}")
        start, end = found.start(group) - found.start(), found.end(group) - found.start()
        return found[0][:start] + placed + found[0][end:]

    def _signed(self, found: re.Match[str]) -> str:
        if MACHINES.search(found[3]):
            return found[0]
        self.removed["names"] += 1
        self.removed["emails"] += 1
        number = self._person(found[3])
        return f"Person {number}{found[2]}{_address(number)}"

    def _address(self, found: re.Match[str]) -> str:
        if MACHINES.search(found[0]) or found[0].rpartition(".")[2].lower() in SUFFIXES:
            return found[0]
        self.removed["emails"] += 1
        return _address(self._person(found[0]))

    def _name(self, found: re.Match[str]) -> str:
        self.removed["names"] += 1
        return self._names[found[1]]

    def _home(self, found: re.Match[str]) -> str:
        if found[2] not in self._accounts and not (_personal(found[2]) and _is_home(found)):
            return found[0]
        self.removed["home_paths"] += 1
        return found[1] + self._account(found[2])

    def _owner(self, found: re.Match[str]) -> str:
        """The owner in a line of `ls -l`."""
        if found[2] not in self._accounts:
            return found[0]
        self.removed["names"] += 1
        return found[1] + self._accounts[found[2]] + found[3]

    def _word(self, found: re.Match[str]) -> str:
        self.removed["names"] += 1
        return self._accounts[found[1]]


def _address(number: int) -> str:
    return f"person{number}@example.com"


def _is_home(found: re.Match[str]) -> bool:
    """Whether it is a home, whoever's: `/home/NAME` by itself may be a route of a web application."""
    return "Users" in found[1] or bool(_CHILD.match(found.string, found.end()))


def _personal(account: str) -> bool:
    return account not in ACCOUNTS and account.lower() not in ACCOUNTS and not re.fullmatch(r"user\d*|\d+|\W+", account)
