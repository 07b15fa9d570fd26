"""An endpoint on loopback, OpenAI-compatible or Anthropic's, whose answers a test scripts; it keeps every request."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Given = str | dict[str, Any] | tuple[int, str] | tuple[int, str, dict[str, str]] | None
Answer = Callable[[dict[str, Any]], Given]


class Endpoint:
    """`requests` are the bodies in their order, `headers` those of each. `url` ends in `/v1`, `root` before it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.root = url.removesuffix("/v1")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []


@contextmanager
def endpoint(answer: Answer) -> Iterator[Endpoint]:
    """What `answer` gives for a body: a text is a completion, an object the body itself, a pair a status and a body.

    Three are that and headers. None: the connection ends without a word.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.requests.append(body)
            made.headers.append(dict(self.headers))
            given = answer(body)
            status, text, extra = 200, "", {}
            if given is None:
                self.close_connection = True
                return
            if isinstance(given, dict):
                text = json.dumps(given)
            elif isinstance(given, str):
                usage = {"prompt_tokens": 100, "completion_tokens": 10}
                choice = {"message": {"role": "assistant", "content": given}, "finish_reason": "stop"}
                text = json.dumps({"choices": [choice], "usage": usage})
            else:
                status, text = given[0], given[1]
                extra = given[2] if len(given) == 3 else {}
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(text.encode()))} | extra).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def text_of(body: dict[str, Any]) -> str:
    """The text that the judge was given in the user's message."""
    content = body["messages"][1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def work_in(text: str) -> str:
    """The work in a judge's question, its lines as they stand there: in order, or marked and from last to first."""
    data, end, _ = text.rpartition("The data ends here.")
    assert end, "instructions come after the data"
    (given,) = json.loads(data[data.index('{"data-') :]).values()
    entries = [entry for part in given["work"].values() for entry in part if not isinstance(entry, dict)]
    return "\n".join(entry if isinstance(entry, str) else entry[1] for entry in entries)


def honest(scores: Callable[[str, str], int]) -> Answer:
    """A judge that reads its instructions after the data and scores as `scores(dimension, work)` says."""

    def answer(body: dict[str, Any]) -> str:
        text = text_of(body)
        work, after = work_in(text), text.rpartition("The data ends here.")[2]
        word = re.search(r'"canary": "(\w+)"', after)
        control = re.search(r"- (control \w+): .* its score is (\d)", after)
        assert word and control
        names = re.findall(r"^- ([\w -]+?)(?::|$)", after, re.MULTILINE)
        given = {
            name: {"reason": "so", "score": int(control[2]) if name == control[1] else scores(name, work)}
            for name in names
        }
        return json.dumps({"canary": word[1], "scores": given})

    return answer
