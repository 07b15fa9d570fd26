"""A whole run with a teacher that answers each session in another odd way: none is lost, nothing bad is trained on.

Each session's first turn is good, its second one odd; what is good in it says GOOD, what must not be trained BAD.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from katcore.model.folder import load
from katcore.records import Pack, Trajectory, Verdict, encode
from katcore.streams import read_records
from tests.support.rollout_tasks import task
from tests.support.scripted_endpoint import Endpoint, Given, endpoint
from tests.support.teachers import chunks, refuses, says

pytestmark = pytest.mark.slow
BAD, DONE = "BAD words", "GOOD: done."


def message(text: Any = DONE, finish: str = "stop", **fields: Any) -> dict[str, Any]:
    answer = says("openai", text, finish=finish)
    answer["choices"][0]["message"].update(fields)
    return answer


def calling(text: str, finish: str = "tool_calls", **call: Any) -> dict[str, Any]:
    given = {"id": "c2", "name": "bash", "arguments": '{"command": "true"}'} | call
    function = {name: given[name] for name in ("name", "arguments")}
    return message(text, finish, tool_calls=[{"id": given["id"], "type": "function", "function": function}])


def usage(told: Any) -> dict[str, Any]:
    return {**message(), "usage": told}


STREAM = [{"choices": [{"delta": {"content": part}, "finish_reason": None}]} for part in ("GOOD: ", "done.")]
ENDED = {"choices": [{"delta": {}, "finish_reason": "stop"}]}

READ: dict[str, Callable[[], Given]] = {
    "usage as text": lambda: usage({"prompt_tokens": "5", "completion_tokens": 5.0}),
    "no usage": lambda: usage(None),
    "usage of nothing": lambda: usage({"prompt_tokens": None, "completion_tokens": [1]}),
    "content as parts": lambda: message([{"type": "text", "text": DONE}, ""]),
    "a stream": lambda: chunks(*STREAM, ENDED),
    "a call without id": lambda: calling("GOOD call", id=None),
    "an id again": lambda: calling("GOOD call", id="call_echo x > new.txt"),
    "arguments as an object": lambda: calling("GOOD call", arguments={"command": "true"}),
    "arguments of nothing": lambda: calling("GOOD call", arguments=None),
    "reasoning in parts": lambda: message(DONE, reasoning=[{"text": "GOOD thought"}], reasoning_details=[{"a": 1}]),
}
"""Answers that are read."""
TRIED: dict[str, Callable[[], Given]] = {
    "a name of nothing": lambda: calling(BAD, name=None),
    "an image": lambda: message([{"type": "image_url", "image_url": {"url": "BAD"}}]),
    "no choices": lambda: {"choices": []},
    "an error in an answer": lambda: {"error": {"message": "upstream", "code": 502}},
    "no JSON": lambda: (200, "<html>"),
    "a stream that is cut": lambda: chunks(*STREAM, done=False),
    "a connection that breaks": lambda: None,
    "busy": lambda: (*refuses("openai", 429, "slow down"), {"Retry-After": "1"}),
    "away": lambda: refuses("openai", 503, "away"),
}
"""Answers that are none: the endpoint is asked again, by the gateway or by the agent."""
MASKED: dict[str, tuple[Callable[[], Given], str]] = {
    "a refusal": (lambda: message(None, refusal=BAD), "refusal"),
    "a refusal in parts": (lambda: message([{"type": "refusal", "refusal": BAD}]), "refusal"),
    "a filter": (lambda: message(BAD, "content_filter"), "content_filter"),
    "cut": (lambda: message(BAD, "length"), "length"),
    "cut in a call": (lambda: calling(BAD, "length"), "length"),
}
"""Answers that nobody is to imitate, with their finish reasons."""
ENDS: dict[str, tuple[Callable[[], Given], str]] = {
    "refused": (lambda: refuses("openai", 404, "no such model"), "agent_error"),
    "without a key": (lambda: refuses("openai", 401, "no"), "engine"),
}
"""Errors that end the session."""
ODD = {**READ, **TRIED, **{name: answer for name, (answer, _) in (*MASKED.items(), *ENDS.items())}}


def teacher() -> Callable[[dict[str, Any]], Given]:
    """Says what each session is to hear; refuses a parameter that it does not know."""
    seen: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> Given:
        if "max_completion_tokens" in body:
            return refuses("openai", 400, "Unknown parameter: 'max_completion_tokens'.", "unknown_parameter")
        name = next(m["content"] for m in body["messages"] if m["role"] == "user").removeprefix("Do: ")
        turns = sum(m["role"] == "assistant" for m in body["messages"])
        seen[name] += turns == 1
        if turns == 0:
            return says("openai", f"GOOD start of {name}", call="echo x > new.txt")
        if turns == 1 and (name not in TRIED or seen[name] == 1):
            return ODD[name]()
        return message()

    return answer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Endpoint]:
    """The attempts, what the command said, and the endpoint."""
    folder = tmp_path_factory.mktemp("teacher")
    tasks, out = folder / "tasks.jsonl", folder / "attempts.jsonl"
    given = [task(f"calc-{n}") for n in range(len(ODD))]
    for each, name in zip(given, ODD):
        each.problem_statement = f"Do: {name}"
    tasks.write_bytes(b"".join(encode(each) + b"\n" for each in given))
    with endpoint(teacher()) as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOME_KEY", "-")
        command = ["kat-rollout", str(tasks), "--engine", f"openai:{served.url}", "--upstream-model", "m"]
        command += ["--key-variable", "SOME_KEY", "-j", "4", "--ordered", "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return out, done.stderr, served


def attempts(path: Path) -> dict[str, Trajectory]:
    """By the name of what was odd in each."""
    found = [line.record for line in read_records([path]) if isinstance(line.record, Trajectory)]
    return dict(zip(ODD, found, strict=True))


def test_no_session_is_lost(run: tuple[Path, str, Endpoint]) -> None:
    found = attempts(run[0])
    ends = {name: attempt.exit.kind for name, attempt in found.items()}
    wanted = dict.fromkeys(ODD, "submitted") | {name: end for name, (_, end) in ENDS.items()}
    assert ends == wanted | {"cut": "tokens"}  # its last word was cut off
    for name, attempt in found.items():
        assert "new.txt" in (attempt.patch or ""), name
        assert {node.lineage for node in attempt.nodes} == {"main"}, name
        assert all(isinstance(n, int) for call in attempt.calls for n in call.usage.values())


def test_what_was_odd_is_recorded(run: tuple[Path, str, Endpoint]) -> None:
    found = attempts(run[0])
    for name, (_, reason) in MASKED.items():
        assert [call.finish_reason for call in found[name].calls][1] == reason, name
    for name in READ:
        assert not any(call.error for call in found[name].calls), name
    for name, said in (("refused", "Refused: no such model"), ("without a key", "Stopped: engine")):
        assert str(found[name].calls[-1].error).startswith(said)
    for name in ("a name of nothing", "an image", "no choices"):
        assert [bool(call.error) for call in found[name].calls] == [False, True, False], name
    ids = [call.id for node in found["an id again"].nodes for call in node.tool_calls]
    assert len(ids) == len(set(ids)) == 2


def test_the_run_says_what_it_left_out(run: tuple[Path, str, Endpoint]) -> None:
    _, said, served = run
    assert said.count("refuses max_completion_tokens") == 1
    assert sum("max_completion_tokens" in body for body in served.requests) <= 4, "those under way at the start"
    thought = [body for body in served.requests if "GOOD thought" in json.dumps(body)]
    assert not thought, "no turn came after it"


@pytest.mark.parametrize("objective", ["sft", "em-sft", "tst", "rft"])
def test_nothing_bad_is_trained_on(run: tuple[Path, str, Endpoint], objective: str, tmp_path: Path) -> None:
    graded, packs = tmp_path / "graded.jsonl", tmp_path / "packs.jsonl"
    found = attempts(run[0])
    for attempt in found.values():
        attempt.verdict = Verdict(reward=1.0, passed=True)
    graded.write_bytes(b"".join(encode(attempt) + b"\n" for attempt in found.values()))
    command = ["kat-pack-trie", "--for", objective, str(graded), "-o", str(packs), "--log-format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    chat, text = load(), ""
    for line in read_records([packs], (Pack,)):
        pack = line.record
        assert isinstance(pack, Pack)
        terms = zip(pack.term_sample, pack.term_turn, pack.term_token, pack.ce_weight)
        turns: dict[tuple[int, int], list[int]] = {}
        for sample, turn, token, weight in terms:
            turns.setdefault((sample, turn), []).extend([pack.tokens[token]] if weight else [])
        text += "\n".join(chat.decode(tokens) for tokens in turns.values())
    assert "BAD" not in text and "words" not in text
    assert all(f"GOOD start of {name}" in text for name in ODD), "what was good in the same sessions is"
    assert text.count(DONE) == len(found) - len(MASKED) - len(ENDS) + 1
    summary = json.loads(done.stderr.splitlines()[-1])
    assert summary["turns_not_imitated"] == len(MASKED)
