"""What became of a tool call: ok, or one of the ways to fail, and who says so. What nobody says is unknown: None.

In: a call as it was sampled, the tools that the model was shown, the result that the agent sent back, and the agent's
own rules (`outcomes` of its row). Out: an outcome with its source (`outcome_by`). First what the call itself shows, by
the schemas of the request (`schema`): a tool that was not there, a required argument that is missing, arguments that
are no object. Then the result: a rule of the agent's that names a failure (`rules`), `is_error` of the Anthropic
dialect (`agent`), a rule that says `ok`, and last the forms in which shells' exit statuses are told to models
(`exit_status`), at the head or the end of the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from katcore.records import Json, Outcome, OutcomeBy

Rules = Callable[[str], Outcome | None]
"""What an agent's row says of the text of a tool result; None where no rule fits."""
Judged = tuple[Outcome, OutcomeBy]

_LINES = 3
"""So many lines at either end of a result are looked at: what stands between is a program's own output."""
_LONGEST = 200
"""The longest line, in characters, that can be an agent's remark."""
_EXIT = re.compile(
    r"""^[\s<(\[{"'*-]*
        (?:(?:the\s+)?(?:command|process|program|script|shell)\b[\w\s]{0,24}?)?
        (?:finished\s+|completed\s+|failed\s+|returned\s+|ended\s+|exited\s+)?(?:with\s+)?(?:an?\s+)?(?:non-?zero\s+)?
        (?:exit(?:ed)?(?:[\s_-]*(?:with|code|status|value))*|return(?:ed)?[\s_-]*(?:code|status)|returncode)
        [\s"'>:=(]{0,4}(-?\d{1,10})\b""",
    re.IGNORECASE | re.VERBOSE,
)
_TIMEOUT = re.compile(
    r"^[\s<(\[{\"'*-]*(?:error:?\s*)?(?:the\s+)?(?:command|process)\b.{0,40}\btimed[ -]?out\b", re.IGNORECASE
)


def rules_of(patterns: Mapping[str, Outcome]) -> Rules:
    """The rules that a row's `outcomes` are: the first pattern that is found in a result says what became of it."""
    rules = [(re.compile(pattern), outcome) for pattern, outcome in patterns.items()]
    return lambda text: next((outcome for pattern, outcome in rules if pattern.search(text)), None)


def of_call(name: str, arguments: Any, tools: Sequence[Json] | None) -> Judged | None:
    """What the call itself shows; None where nothing is wrong with it, or no tools were shown in a request.

    `arguments` as the model wrote them, JSON text. Of a tool's schema the required members count, no more: what types
    a tool takes, its agent says.
    """
    if not tools:
        return None
    functions = [tool.get("function") or tool for tool in tools if isinstance(tool, dict)]
    schema = next((function for function in functions if function.get("name") == name), None)
    if schema is None:
        return "unknown_tool", "schema"
    given = _object(arguments)
    parameters = schema.get("parameters")
    required = parameters.get("required") if isinstance(parameters, dict) else None
    wanted = required if isinstance(required, list) else []
    if given is None or any(isinstance(each, str) and each not in given for each in wanted):
        return "invalid_arguments", "schema"
    return None


def of_result(text: str, rules: Rules | None, *, failed: bool = False) -> Judged | None:
    """What the text of a tool's result says, and whether the agent marked it as `failed`; None where nothing tells."""
    ruled = rules(text) if rules is not None else None
    if ruled is not None and ruled != "ok":
        return ruled, "rules"
    if failed:
        return _exit(text, failed=True) or ("tool_error", "agent")
    if ruled is not None:
        return ruled, "rules"
    return _exit(text)


def _exit(text: str, *, failed: bool = False) -> Judged | None:
    lines = [line for line in text.strip()[:4096].split("\n")[:_LINES] if len(line) <= _LONGEST]
    lines += [line for line in reversed(text.strip()[-4096:].split("\n")[-_LINES:]) if len(line) <= _LONGEST]
    for line in lines:
        if _TIMEOUT.match(line):
            return "timeout", "exit_status"
        if (found := _EXIT.match(line)) and not (failed and int(found[1]) == 0):
            return ("ok" if int(found[1]) == 0 else "nonzero_exit"), "exit_status"
    return None


def _object(arguments: Any) -> Json | None:
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
    return arguments if isinstance(arguments, dict) else None
