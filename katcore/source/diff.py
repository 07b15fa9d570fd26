"""Read a patch: which files it is about, and its hunks; write one of a text file.

In: the bytes of a patch, git's own or one that `diff -u` made, in a mail or not. Out: a `FileDiff` for each file. Lines
end at newlines alone, and hunks are counted, so that no content is ever taken for a header. Names are bytes, the first
folder (`a/`, `b/`) taken off as `git apply` does. A patch may be hostile: nothing here raises, and what cannot be read
is in no hunk. Whether a patch applies is git's to say (`environment/patch.py`); a program that reads more than git does
is shown what `rewritten` makes of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from katcore.source.quoting import QUOTED, quoted, readable, unquoted

GIT = b"diff --git "
_HUNK = re.compile(rb"@@ -(\d{1,18})(?:,(\d{1,18}))? \+(\d{1,18})(?:,(\d{1,18}))? @@")
_NAMED = re.compile(rb"(?:---|\+\+\+|\*\*\*|Index:|rename from|rename to|copy from|copy to) (.+)", re.DOTALL)
_SAID = re.compile(
    rb"^(---|\+\+\+|rename from|rename to|copy from|copy to|new file mode|deleted file mode) ([^\n]*)", re.MULTILINE
)
_EPOCH = re.compile(rb"\t(1970-01-01|1969-12-31) (\d\d):(\d\d):00(?:\.0+)? ([+-]\d\d):?(\d\d)\r?$")
_HEADER = re.compile(
    rb"diff --git |--- |\+\+\+ |index |(?:old|new|new file|deleted file) mode |(?:dis)?similarity index "
    rb"|(?:rename|copy) (?:from|to) "
)
_UNREAD = re.compile(rb"^[ \tX]*(?:- )*(?:@@ -|diff --git |GIT binary patch)", re.MULTILINE)


class Hunk(NamedTuple):
    """Lines that belong together. `old` and `new`: the number of the first one on either side.

    `lines` begin with their signs and have no newline; `\\ No newline at end of file` is a line of its own.
    """

    header: bytes
    old: int
    new: int
    lines: list[bytes]

    @property
    def raw(self) -> bytes:
        """The hunk's part of the patch."""
        return b"".join(line + b"\n" for line in (self.header, *self.lines))

    @property
    def after(self) -> bytes:
        """What is there after the change."""
        lines = pairwise([*self.lines, b""])
        kept = ((line[1:], following) for line, following in lines if not line.startswith((b"-", b"\\")))
        return b"".join(line + (b"" if following.startswith(b"\\") else b"\n") for line, following in kept)

    @property
    def whole(self) -> bool:
        """Whether it has as many lines as its header says."""
        found = _HUNK.match(self.header)
        signs = [line[:1] or b" " for line in self.lines]
        return found is not None and _sizes(found) == tuple(sum(s in side for s in signs) for side in (b" -", b" +"))


class FileDiff(NamedTuple):
    """The part of a patch about one file.

    `old` and `new` are its names, null where there is no file; `hunks_at` is where the hunks start in `raw`, -1 when
    there are none.
    """

    raw: bytes
    old: bytes | None
    new: bytes | None
    hunks_at: int

    @property
    def path(self) -> bytes:
        """The name after the change, or before it when the file is gone."""
        return self.new if self.new is not None else self.old or b""

    @property
    def paths(self) -> set[bytes]:
        """Both names."""
        return {path for path in (self.old, self.new) if path is not None}

    @property
    def name(self) -> str:
        """The path as text; quoted as git does where it is not UTF-8."""
        return readable(self.path)

    @property
    def header(self) -> bytes:
        """What comes before the hunks, or before the data of a binary file."""
        return self.raw[: self.hunks_at if self.hunks_at >= 0 else _data_at(self.raw)]

    @property
    def claimed(self) -> set[bytes]:
        """Every name in the header: headers may contradict themselves, and not every program believes the same line."""
        first, *lines = self.header.split(b"\n")
        found = {_below(unquoted(name)) for name in self.both} if first.startswith(GIT) else set[bytes]()
        for line in lines if found else (first, *lines):
            whole = line.startswith((b"rename ", b"copy "))
            found.update(name if whole else _below(name) for name in names_in(line))
        return found - {b""}

    @property
    def both(self) -> tuple[bytes, bytes]:
        """The names in git's first line as they stand there, quotes and all; renamed ones are known from elsewhere."""
        first = self.raw.partition(b"\n")[0].rstrip(b"\r")
        old, new = b"a/" + (self.old or b""), b"b/" + (self.new or b"")
        return (old, new) if first == GIT + old + b" " + new else _both(first)

    @property
    def binary(self) -> bool:
        """Whether bytes have changed that no hunk shows."""
        return self.hunks_at < 0 and _data_at(self.raw) < len(self.raw)

    @property
    def hunks(self) -> list[Hunk]:
        """The hunks, in order."""
        return list(_hunks(_lines(self.raw[self.hunks_at :]), 0)) if self.hunks_at >= 0 else []

    @property
    def tail(self) -> bytes:
        """What follows the hunks: the signature of a mail, what is damaged."""
        return self.raw[self.hunks_at + sum(len(hunk.raw) for hunk in self.hunks) :] if self.hunks_at >= 0 else b""


def read_patch(patch: bytes) -> list[FileDiff]:
    """The files of a patch, in order. Their `raw` together are the patch from the first file on."""
    start = 0 if patch.startswith(GIT) else patch.find(b"\n" + GIT) + 1 or len(patch)
    found = [] if start == 0 else _plain_files(patch[:start], 0)
    while start < len(patch):
        end = patch.find(b"\n" + GIT, start) + 1 or len(patch)
        found += _files(patch[start:end])
        start = end
    return found


def paths(patch: str) -> list[str]:
    """The files that a patch touches, old and new names, sorted; in the form of `os.fsdecode`."""
    found = {path for diff in read_patch(_encoded(patch)) for path in diff.paths}
    return sorted(path.decode("utf-8", "surrogateescape") for path in found)


def content(patch: str) -> Iterator[tuple[int, str]]:
    """The lines in hunks with their signs, each with its place among the lines of the patch."""
    data = _encoded(patch)
    diffs = read_patch(data)
    start = data.count(b"\n", 0, len(data) - sum(len(diff.raw) for diff in diffs))
    for diff in diffs:
        place = start + diff.header.count(b"\n")
        for hunk in diff.hunks:
            for line in hunk.lines:
                place += 1
                yield place, line.decode("utf-8", "surrogateescape")
            place += 1
        start += diff.raw.count(b"\n")


def rewritten(patch: bytes) -> bytes | None:
    """The patch made of nothing but what is read here; None where that leaves a change out or nothing.

    GNU patch takes headers and hunks that git does not and that are not read here (indented ones, `@@ -1+1@@`, text
    between two hunks): of what this returns it reads the same names and lines.
    """
    diffs = read_patch(patch)
    kept, left = list[bytes](), [patch[: len(patch) - sum(len(diff.raw) for diff in diffs)]]
    for diff in diffs:
        header, hunks = re.findall(rb"[^\n]*\n|[^\n]+", diff.header), diff.hunks
        if not all(hunk.whole for hunk in hunks):
            return None
        kept += [*filter(_HEADER.match, header), *(hunk.raw for hunk in hunks)]
        left += [line for line in header if not _HEADER.match(line)]
        left.append(diff.raw[len(diff.header) + sum(len(hunk.raw) for hunk in hunks) :])
    return None if any(map(_UNREAD.search, left)) else b"".join(kept) or None


def names_in(line: bytes) -> list[bytes]:
    """The names that a line of a header states, unquoted, with their `a/` or `b/`; of any other line none."""
    if line.startswith(GIT):
        return [unquoted(name) for name in _both(line) if name]
    found = _NAMED.match(line)
    name = _spelt(found[1]) if found else b""
    return [name] if name not in (b"", b"/dev/null") else []


def write_diff(name: str, old: str | None, new: str | None, context: int = 3) -> str:
    """git's patch of one text file, null where there is none."""
    if old == new:
        return ""
    sides = [_shown(f"{side}/{name}") for side in "ab"]
    head = f"diff --git {sides[0]} {sides[1]}\n"
    head += "new file mode 100644\n" if old is None else "deleted file mode 100644\n" if new is None else ""
    before, after = (re.findall(r"[^\n]*\n|[^\n]+", text or "") for text in (old, new))
    lines = list(difflib.unified_diff(before, after, n=context))[2:]
    if lines:  # none for a file that is empty
        left, right = (side + "\t" * (" " in side) for side in sides)
        head += f"--- {'/dev/null' if old is None else left}\n+++ {'/dev/null' if new is None else right}\n"
    return head + "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


def _shown(name: str) -> str:
    """A name as git prints it: in quotes where it holds what would end it or its line."""
    return quoted(_encoded(name)).decode() if re.search(r'[\x00-\x1f"\\\x7f\ud800-\udfff]', name) else name


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _files(part: bytes) -> list[FileDiff]:
    """The file that begins with git's line, and those behind it that have none."""
    diff = _file(part)
    if diff.hunks_at < 0 or part.find(b"\n+++ ", diff.hunks_at) < 0:
        return [diff]
    later = _plain_files(part, diff.hunks_at)  # none where content looks so
    return [_file(part[: len(part) - sum(len(each.raw) for each in later)]), *later]


def _file(raw: bytes) -> FileDiff:
    hunks = raw.find(b"\n@@ -") + 1 or -1
    said = dict(_SAID.findall(raw[: hunks if hunks >= 0 else _data_at(raw)]))
    old: bytes | None
    new: bytes | None
    for verb in (b"rename", b"copy"):
        if verb + b" from" in said and verb + b" to" in said:
            old, new = _spelt(said[verb + b" from"]), _spelt(said[verb + b" to"])
            break
    else:
        if b"---" in said and b"+++" in said:
            old, new = _spelt(said[b"---"]), _spelt(said[b"+++"])
        else:
            old, new = (unquoted(name) for name in _both(raw.partition(b"\n")[0]))
        old = None if _nowhere(old, said, b"---") or b"new file mode" in said else _below(old)
        new = None if _nowhere(new, said, b"+++") or b"deleted file mode" in said else _below(new)
    return FileDiff(raw, old or None, new or None, hunks)


def _plain_files(part: bytes, at: int) -> list[FileDiff]:
    """Files that begin with `---` and `+++` behind the hunks that start at `at`, without a line of git's."""
    lines, starts = _lines(part[at:]), list[int]()
    place = sum(1 + len(hunk.lines) for hunk in _hunks(lines, 0)) if at else 0
    offset = at + sum(len(line) + 1 for line in lines[:place])
    while place < len(lines) - 2:
        end = place + 1
        if lines[place].startswith(b"--- ") and lines[place + 1].startswith(b"+++ ") and _HUNK.match(lines[place + 2]):
            starts.append(offset)
            end = place + 2 + sum(1 + len(hunk.lines) for hunk in _hunks(lines, place + 2))
        offset += sum(len(line) + 1 for line in lines[place:end])
        place = end
    return [_file(part[start:stop]) for start, stop in pairwise([*starts, len(part)])]


def _hunks(lines: list[bytes], at: int) -> Iterator[Hunk]:
    """The hunks that follow each other from a line on."""
    while at < len(lines) and (found := _HUNK.match(lines[at])):
        start, (old, new) = at, _sizes(found)
        first = int(found[1]) + (old == 0), int(found[3]) + (new == 0)  # a side without lines names the one before
        at += 1
        while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith(b"\\ ")):
            sign = lines[at][:1] or b" "  # an empty line has lost its space on the way
            left, right = sign in b" -", sign in b" +"
            if (left and old <= 0) or (right and new <= 0) or sign not in b" -+\\":
                break
            old, new, at = old - left, new - right, at + 1
        yield Hunk(lines[start], *first, lines[start + 1 : at])


def _sizes(header: re.Match[bytes]) -> tuple[int, int]:
    """The number of lines on either side that a hunk's header says; 1 where it says none."""
    old, new = (1 if count is None else int(count) for count in (header[2], header[4]))
    return old, new


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _data_at(raw: bytes) -> int:
    """Where the data of a binary file starts, or what is said in its place; the end when there is none."""
    found = (raw.find(mark) for mark in (b"\nGIT binary patch", b"\nBinary files "))
    return min((at + 1 for at in found if at >= 0), default=len(raw))


def _both(line: bytes) -> tuple[bytes, bytes]:
    """The two names of git's first line, quotes and all.

    Unquoted ones that differ and have ` b/` in them are told apart by the lines `rename from` and `--- a/` alone.
    """
    text = line.removeprefix(GIT).rstrip(b"\r")
    if found := QUOTED.match(text):
        return found[0], text[found.end() + 1 :]
    half = len(text) // 2
    if text.endswith(b'"') and b' "' in text:
        at = text.index(b' "')
    elif text[half : half + 1] == b" " and _below(text[:half]) == _below(text[half + 1 :]):
        at = half
    elif (at := text.find(b" b/")) < 0:
        at = text.find(b" ")
    return (text[:at], text[at + 1 :]) if at >= 0 else (text, b"")


def _spelt(text: bytes) -> bytes:
    """The name at the end of a line, without quotes, and without the time that `diff` puts behind a tab."""
    found = QUOTED.match(text)
    return unquoted(found[0]) if found else text.partition(b"\t")[0].rstrip(b"\r")


def _nowhere(name: bytes, said: dict[bytes, bytes], sign: bytes) -> bool:
    """Whether there is no file on this side: `/dev/null`, or the time that `diff -N` gives to one that is not there."""
    if name == b"/dev/null":
        return True
    found = _EPOCH.search(said.get(sign, b""))
    if not found:
        return False
    day, hours, minutes, zone_hours, zone_minutes = found.groups()
    zone = abs(int(zone_hours)) * 60 + int(zone_minutes)
    at = int(hours) * 60 + int(minutes) - (-zone if zone_hours.startswith(b"-") else zone)
    return at == (1440 if day == b"1969-12-31" else 0)


def _below(name: bytes) -> bytes:
    """A name without its first folder; one without any as it is."""
    return name.partition(b"/")[2] or name
