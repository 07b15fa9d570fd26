"""Python test files with wrong expectations, by their syntax tree.

In: the text of a test file and the tests that matter. Out: the same text with the expectations of those tests wrong:
another number or word where a result is compared with a literal, the opposite operator where it is not, another
exception; a failing first line in tests whose assertions lie elsewhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

Function = ast.FunctionDef | ast.AsyncFunctionDef

_OPPOSITE = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
    ast.Lt: ">=", ast.GtE: "<", ast.Gt: "<=", ast.LtE: ">",
}  # fmt: skip
_PAIRS = (
    ("assertEqual", "assertNotEqual"), ("assertTrue", "assertFalse"), ("assertIs", "assertIsNot"),
    ("assertIsNone", "assertIsNotNone"), ("assertIn", "assertNotIn"), ("assertIsInstance", "assertNotIsInstance"),
    ("assertLess", "assertGreaterEqual"), ("assertGreater", "assertLessEqual"), ("assertRegex", "assertNotRegex"),
    ("assertAlmostEqual", "assertNotAlmostEqual"),
)  # fmt: skip
_METHODS = dict(_PAIRS) | {b: a for a, b in _PAIRS}
_METHODS |= {f"assert{kind}Equal": "assertNotEqual" for kind in ("List", "Dict", "Set", "Tuple", "MultiLine", "Count")}
_RAISES = frozenset({"raises", "assertRaises", "assertRaisesRegex"})
_METHOD = re.compile(r"(?P<test>\w+) \((?P<path>[\w.]+)\)")
_EXCEPTIONS = (
    b"ZeroDivisionError",
    b"UnicodeDecodeError",
    b"PermissionError",
    b"OverflowError",
    b"ModuleNotFoundError",
)
_PLAIN = re.compile(rb"""^(["'])(?!\1\1)""")


@dataclass(frozen=True)
class Edit:
    """One edit of a source: replaces the bytes from `start` to `end`."""

    start: int
    end: int
    new: bytes


class _Text:
    """Source as bytes, with the places of its syntax tree's nodes."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self._lines = [0]
        for line in self.data.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset

    def replace(self, node: ast.expr, new: bytes) -> Edit:
        return Edit(*self.span(node), new)

    def part(self, node: ast.expr | ast.stmt) -> bytes:
        start, end = self.span(node)
        return self.data[start:end]

    def line_start(self, node: ast.stmt) -> int:
        return self._lines[node.lineno - 1]


def mutated_python(text: str, tests: Iterable[str], shown: str = "", plain: bool = False) -> tuple[str, list[str]]:
    """The text with wrong expectations in the named tests (`Class::test`, `test[parameters]`), and which were found.

    `shown`: what agents saw of it. An expectation that is written there too stays right. `plain`: no expectation is
    changed, each of the tests gets a failing first line.
    """
    wanted: dict[str, list[str]] = {}
    for test in tests:
        wanted.setdefault(test.split("[", 1)[0], []).append(test)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text, []
    source, seen = _Text(text), _parts(shown)
    edits: list[Edit] = []
    found: list[str] = []
    for name, function in _functions(tree.body, ""):
        if name in wanted and (made := _plain(source, function) if plain else _edits(source, function, seen)):
            edits += made
            found += wanted[name]
    data = source.data
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        data = data[: edit.start] + edit.new + data[edit.end :]
    changed = data.decode()
    try:
        ast.parse(changed)
    except (SyntaxError, ValueError):
        return text, []
    return changed, sorted(found)


def inside(name: str, test: str) -> str:
    """What a test is called in the file of that name (`Class::test`); nothing where it is not one of its tests.

    Ids are pytest's `FILE::Class::test`, unittest's `test (package.module.Class)`, since Python 3.11 with `.test` at
    the end of that, and sympy's `test`, which may stand in any file.
    """
    if test.startswith(f"{name}::"):
        return test.removeprefix(f"{name}::")
    if method := _METHOD.fullmatch(test):
        path = method["path"].removesuffix(f".{method['test']}").split(".")
        module = "/".join(path[:-1]) + ".py"
        return f"{path[-1]}::{method['test']}" if f"/{name}".endswith(f"/{module}") else ""
    return test if test.isidentifier() else ""


def _functions(body: Iterable[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _functions(node.body, prefix)


def _parts(text: str) -> frozenset[bytes]:
    """The source of a file's functions, and of the assertions and calls in them."""
    try:
        nodes = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError):
        return frozenset()
    source = _Text(text)
    return frozenset(source.part(node) for node in nodes if isinstance(node, Function | ast.Assert | ast.Call))


def _edits(source: _Text, function: Function, seen: frozenset[bytes]) -> list[Edit]:
    nodes = [node for node in _inside(function) if isinstance(node, ast.Assert | ast.Call)]
    edits = [(node, edit) for node in nodes if (edit := _edit(source, node))]
    if edits or source.part(function) in seen:
        return [edit for node, edit in edits if source.part(node) not in seen]
    return _plain(source, function)


def _plain(source: _Text, function: Function) -> list[Edit]:
    """The edit that gives the function a failing first line."""
    first = function.body[1] if len(function.body) > 1 and _is_text(function.body[0]) else function.body[0]
    at = source.line_start(first)
    if first.lineno == function.lineno:
        return []
    return [Edit(at, at, b" " * first.col_offset + b"assert 1 == 2\n")]


def _inside(function: Function) -> Iterator[ast.AST]:
    """Nodes of a function in no order, those of an assertion that was given out left out."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.Assert):
            waiting.extend(ast.iter_child_nodes(node))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _edit(source: _Text, node: ast.AST) -> Edit | None:
    if isinstance(node, ast.Assert):
        return _assertion(source, node.test)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name in _RAISES and node.args:
            return source.replace(node.args[0], _exception(source.part(node.args[0])))
        if name in _METHODS and isinstance(node.func, ast.Attribute):
            return _method(source, node, node.func)
    return None


def _assertion(source: _Text, test: ast.expr) -> Edit:
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        right = test.comparators[0]
        if isinstance(test.ops[0], ast.Eq) and (edit := _other(source, right) or _other(source, test.left)):
            return edit
        (_, start), (end, _) = source.span(test.left), source.span(right)
        between = source.data[start:end]
        operator = re.search(rb"==|!=|<=|>=|<|>|\bnot\s+in\b|\bin\b|\bis\s+not\b|\bis\b", between)
        if operator and b"#" not in between:
            new = _OPPOSITE[type(test.ops[0])].encode()
            return Edit(start + operator.start(), start + operator.end(), new)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return source.replace(test, b"(" + source.part(test.operand) + b")")
    plain = isinstance(test, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
    return source.replace(test, b"not " + (source.part(test) if plain else b"(" + source.part(test) + b")"))


def _method(source: _Text, call: ast.Call, function: ast.Attribute) -> Edit | None:
    """The edit of an assertion method: another value or a denied condition, else the opposite method.

    A value comes first because code under test may have patched the method.
    """
    if function.attr.endswith("Equal") and "Not" not in function.attr:
        for argument in reversed(call.args[:2]):
            if edit := _other(source, argument):
                return edit
        if len(call.args) > 1 and not any(isinstance(argument, ast.Starred) for argument in call.args[:2]):
            return source.replace(call.args[1], b"[" + source.part(call.args[1]) + b"]")
    if function.attr in ("assertTrue", "assertFalse") and call.args and not isinstance(call.args[0], ast.Starred):
        return source.replace(call.args[0], b"not (" + source.part(call.args[0]) + b")")
    if function.end_lineno != function.lineno:
        return None
    _, end = source.span(function)
    return Edit(end - len(function.attr), end, _METHODS[function.attr].encode())


def _other(source: _Text, node: ast.expr) -> Edit | None:
    """The edit that puts another literal in the place of the first one in `node`; None where no known kind is there."""
    if isinstance(node, ast.Call) and node.args and source.part(node.func) in (b"pytest.approx", b"approx"):
        return _other(source, node.args[0])
    if isinstance(node, ast.UnaryOp):
        return _other(source, node.operand)
    if isinstance(node, ast.List | ast.Tuple):
        return next((edit for part in node.elts if (edit := _other(source, part))), None)
    if isinstance(node, ast.Dict):
        return next((edit for part in node.values if (edit := _other(source, part))), None)
    if not isinstance(node, ast.Constant):
        return None
    value = node.value
    if isinstance(value, bool):
        return source.replace(node, str(not value).encode())
    if isinstance(value, int | float):
        # not always by one: code that reads what is expected of it could go by whether that is even
        return source.replace(node, repr(value + 1 + crc32(source.part(node)) % 3).encode())
    if isinstance(value, str) and _PLAIN.match(part := source.part(node)) and node.lineno == node.end_lineno:
        return source.replace(node, _word(part))
    return None


def _word(part: bytes) -> bytes:
    """The string literal with a letter or digit, chosen by checksum, replaced by the next one; else with one more."""
    places = [] if b"\\" in part else [match.start() for match in re.finditer(rb"[A-Ya-y0-8]", part)]
    if not places:
        return part[:1] + b"s" + part[1:]
    at = places[crc32(part) % len(places)]
    return part[:at] + bytes([part[at] + 1]) + part[at + 1 :]


def _exception(part: bytes) -> bytes:
    """The name of an exception that the wanted one is hardly a subclass of."""
    others = [name for name in _EXCEPTIONS if name not in part]
    return others[crc32(part) % len(others)]
