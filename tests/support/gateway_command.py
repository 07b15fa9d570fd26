"""`kat-rollout gateway` as a process: started, asked by an agent of few words."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'kat-rollout'; from katcli.rollout import main; main()"]


def script(folder: Path) -> Path:
    path = folder / "script.jsonl"
    call = {"type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    messages = [{"role": "assistant", "content": "I look.", "tool_calls": [call]}, {"content": "Done."}]
    path.write_text(json.dumps({"task": "*", "messages": messages}) + "\n")
    return path


def start(folder: Path, *more: str, engine: str = "") -> tuple[subprocess.Popen[bytes], list[dict[str, Any]]]:
    keys = folder / "keys.jsonl"
    engine = engine or f"scripted:{script(folder)}"
    arguments = ["gateway", "--engine", engine, "--keys", str(keys), *more]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while not keys.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    assert keys.exists(), process.stderr.read() if process.stderr and process.poll() is not None else "no keys"
    assert keys.stat().st_mode & 0o777 == 0o600
    return process, [json.loads(line) for line in keys.read_text().splitlines()]


def ask(access: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    host = access["openai_base_url"].removeprefix("http://").removesuffix("/v1")
    connection = http.client.HTTPConnection(host)
    headers = {"Authorization": f"Bearer {access['key']}"}
    connection.request("POST", "/v1/chat/completions", json.dumps({"messages": messages}), headers)
    message: dict[str, Any] = json.loads(connection.getresponse().read())["choices"][0]["message"]
    return message


def converse(access: dict[str, Any]) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Fix it."}]
    messages.append(ask(access, messages))
    messages.append({"role": "tool", "tool_call_id": messages[-1]["tool_calls"][0]["id"], "content": "a"})
    assert ask(access, messages)["content"] == "Done."
