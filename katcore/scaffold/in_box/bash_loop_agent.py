"""The loop of bash-loop, run inside a box: ask the model, run its command, show it the result, until it is done.

Python 3.8 or later, standard library alone, started with `python -I`. In: one JSON object on standard input (socket,
key, model, tools, messages, limits). Out: one JSON line `{"exit": submitted|turns|agent_error, "detail": …}`. The first
line of every tool result is for machines as well: `[exit N]`, `[timeout after N s]`, `[invalid_arguments] …`,
`[unknown_tool] …`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, Any

TRIES = 5
RETRIED = (408, 429, 500, 502, 503, 504)
LONGEST_ARGUMENT = 100_000  # Linux refuses a single argument of 128 KiB


class Refused(Exception):
    """The gateway refused to go on with this run."""


def post(config: dict[str, Any], body: bytes, retry: int) -> tuple[int, bytes]:
    """Send one request; returns (HTTP status, body), with status 0 when there was no whole answer."""
    head = (
        "POST /v1/chat/completions HTTP/1.0\r\nHost: gateway\r\n"
        f"Authorization: Bearer {config['key']}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"x-stainless-retry-count: {retry}\r\n\r\n"
    )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(3600)
            connection.connect(config["socket"])
            connection.sendall(head.encode() + body)
            parts = iter(lambda: connection.recv(65536), b"")
            return answered(b"".join(parts))
    except OSError as error:
        return 0, str(error).encode()


def answered(data: bytes) -> tuple[int, bytes]:
    """The status and the body of a whole answer, by hand: http.client takes longer to import than all the rest."""
    head, found, body = data.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    length = [field.split(":", 1)[1] for field in fields if field.lower().startswith("content-length:")]
    if not found or len(words) < 2 or not words[1].isdigit() or (length and length[0].strip() != str(len(body))):
        return 0, b"the answer was cut off"
    return int(words[1]), body


def ask(config: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The model's next message."""
    body = json.dumps({"model": config["model"], "messages": messages, "tools": config["tools"]}).encode()
    status, answer = 0, b""
    for retry in range(TRIES):
        status, answer = post(config, body, retry)
        if status == 200:
            message: dict[str, Any] = json.loads(answer)["choices"][0]["message"]
            return message
        if status and status not in RETRIED:
            break
        time.sleep(0.2 * 2**retry)
    raise Refused(f"{status}: {answer.decode('utf-8', 'replace')[:500]}")


class Output:
    """The first and the last characters of a stream, however long it is; a thread reads it to its end."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.half = stream, max(1, limit // 2)
        self.head, self.tail, self.total = b"", b"", 0
        self.thread = threading.Thread(target=self.drain, daemon=True)
        self.thread.start()

    def drain(self) -> None:
        while data := os.read(self.stream.fileno(), 65536):
            self.total += len(data)
            room = self.half - len(self.head)
            self.head += data[:room] if room > 0 else b""
            self.tail = (self.tail + data[max(room, 0) :])[-self.half :]

    def text(self) -> str:
        # A background process may hold the pipe open for ever: what came until now is the output.
        self.thread.join(0.5)
        left_out = self.total - len(self.head) - len(self.tail)
        middle = f"\n[{left_out} bytes left out]\n".encode() if left_out > 0 else b""
        return (self.head + middle + self.tail).decode("utf-8", "replace")


@contextlib.contextmanager
def arguments(command: str) -> Any:
    """The command for bash, in a file when it is too long to be an argument."""
    if len(command.encode("utf-8", "replace")) < LONGEST_ARGUMENT and "\0" not in command:
        yield ["/bin/bash", "-c", command]
        return
    import tempfile  # slow to import, and hardly ever needed

    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace", suffix=".sh") as file:
        file.write(command)
        file.flush()
        yield ["/bin/bash", file.name]


def run(command: str, config: dict[str, Any]) -> str:
    """Run one command in a shell of its own; processes that it leaves in the background go on."""
    limit = float(config["command_timeout_s"])
    with arguments(command) as argv:
        process = subprocess.Popen(
            argv,
            cwd=config["workdir"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        output = Output(process.stdout, int(config["output_chars"]))
        try:
            code = process.wait(limit)
            head = f"[exit {code if code >= 0 else 128 - code}]"
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            head = f"[timeout after {limit:g} s]"
    text = output.text().rstrip("\n")
    return f"{head}\n{text}" if text else head


def result(call: dict[str, Any], config: dict[str, Any]) -> str:
    """The text of a tool call's result; mistakes in the call are told to the model, not raised."""
    function = call.get("function") or {}
    if function.get("name") != "bash":
        return f"[unknown_tool] {function.get('name')!r}: there is only bash"
    try:
        given = json.loads(function.get("arguments") or "")
    except ValueError as error:
        return f"[invalid_arguments] not JSON: {error}"
    command = given.get("command") if isinstance(given, dict) else None
    if not isinstance(command, str):
        return "[invalid_arguments] bash takes one string, command"
    try:
        return run(command, config)
    except (OSError, ValueError) as error:
        return f"[tool_error] {error}"


def loop(config: dict[str, Any]) -> dict[str, str]:
    """Take turns until the model answers without a tool call or they are used up; returns why it ended."""
    messages: list[dict[str, Any]] = list(config["messages"])
    for _ in range(int(config["max_turns"])):
        message = ask(config, messages)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return {"exit": "submitted"}
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call.get("id", ""), "content": result(call, config)})
    return {"exit": "turns", "detail": f"{config['max_turns']} turns"}


def main() -> None:
    config = json.loads(sys.stdin.buffer.read())
    try:
        said = loop(config)
    except Refused as reason:
        said = {"exit": "agent_error", "detail": f"the model did not answer: {reason}"}
    print(json.dumps(said), flush=True)
    os._exit(0)  # threads may still read the pipes of background processes


if __name__ == "__main__":
    main()
