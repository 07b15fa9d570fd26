"""Client of SGLang's native HTTP API: SGLang itself, `sglang-router`, and the embedded engine.

In: token ids and sampling parameters. Out: Generation. Every call here may be repeated (sampling changes no state,
an update to the same folder is the same update), so connection failures and a router's 5xx are retried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson

from katcore.engine import Generation, SamplingParams
from katcore.errors import EngineError

_ATTEMPTS = 4
_FIRST_PAUSE = 0.1
_RETRIED = (500, 502, 503, 504)


class ContextOverflow(EngineError):
    """Prompt and completion together exceed the model's context length."""


class SGLangEngine:
    """One server or router at `http://…` or `unix:/path`; use it from one event loop."""

    def __init__(self, url: str, name: str = "", closing: Callable[[], None] | None = None) -> None:
        """`closing` runs at `close`: it stops a server that is ours."""
        self.name = name or f"sglang:{url}"
        self._socket = url.removeprefix("unix:") if url.startswith("unix:") else ""
        self._base = "http://localhost" if self._socket else url.rstrip("/")
        self._closing = closing
        self._session: aiohttp.ClientSession | None = None

    async def generate(self, input_ids: list[int], params: SamplingParams) -> Generation:
        """Sample one completion of `input_ids`; ContextOverflow when it does not fit."""
        body = {"input_ids": input_ids, "sampling_params": _sampling(params), "return_logprob": True}
        answer = await self._json("POST", "/generate", body)
        try:
            return _generation(answer)
        except (KeyError, TypeError, ValueError, IndexError) as reason:
            raise EngineError(f"{self.name}: /generate answered in another shape ({reason!r})") from None

    async def update_weights(self, folder: str, version: str) -> None:
        """Load the weights of a model folder and call them `version` from now on."""
        body = {"model_path": folder, "weight_version": version, "flush_cache": True}
        answer = await self._json("POST", "/update_weights_from_disk", body)
        if not answer.get("success"):
            raise EngineError(f"{self.name}: weights not updated: {answer.get('message')}")

    async def flush_cache(self) -> None:
        """Forget every cached prefix."""
        await self._call("POST", "/flush_cache")

    async def pause(self, mode: str = "in_place") -> None:
        """Stop generating until `resume`: `in_place`, `retract` (KV is recomputed) or `abort` (requests end)."""
        await self._call("POST", "/pause_generation", {"mode": mode})

    async def resume(self) -> None:
        """Go on generating."""
        await self._call("POST", "/continue_generation", {})

    async def abort(self) -> None:
        """End all requests now; they answer with what they have and finish reason `abort`."""
        await self._call("POST", "/abort_request", {"rid": "", "abort_all": True})

    async def model_info(self) -> dict[str, Any]:
        """`model_path`, `weight_version`; from the embedded engine also `tokenizer_digest`."""
        return await self._json("GET", "/model_info")

    async def health(self) -> bool:
        """Whether the engine can generate."""
        try:
            await self._call("GET", "/health_generate")
        except EngineError:
            return False
        return True

    async def close(self) -> None:
        """Let go of connections, and of the server when it is ours."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._closing is not None:
            closing, self._closing = self._closing, None
            await asyncio.to_thread(closing)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.UnixConnector(self._socket, limit=0) if self._socket else aiohttp.TCPConnector(limit=0)
            # No time-out as a whole: a long completion on a small machine takes what it takes.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session

    async def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = await self._call(method, path, body)
        try:
            answer = orjson.loads(data)
        except ValueError:
            raise EngineError(f"{self.name}: {path} answered no JSON: {data[:200]!r}") from None
        if not isinstance(answer, dict):
            raise EngineError(f"{self.name}: {path} answered in another shape: {data[:200]!r}")
        return answer

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The answer's body; retries, then EngineError."""
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_FIRST_PAUSE * 4 ** (attempt - 1))
            try:
                status, data = await self._once(method, path, body)
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as reason:
                problem = f"does not answer ({reason or type(reason).__name__})"
                continue
            if status not in _RETRIED:
                return self._accept(path, status, data)
            problem = f"{path} answered {status}: {_message(data)}"
        raise EngineError(f"{self.name}: {problem}", hint="is the server running?")

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        async with self._open().request(method, self._base + path, data=data, headers=headers) as response:
            return response.status, await response.read()

    def _accept(self, path: str, status: int, data: bytes) -> bytes:
        if status == 200:
            return data
        message = _message(data)
        if status == 400 and "context length" in message:
            raise ContextOverflow(f"{self.name}: {message}")
        raise EngineError(f"{self.name}: {path} answered {status}: {message}")


def _sampling(params: SamplingParams) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "min_p": params.min_p,
        "max_new_tokens": params.max_new_tokens,
        "stop_token_ids": list(params.stop_token_ids),
        "skip_special_tokens": False,
    }
    return fields if params.seed is None else fields | {"sampling_seed": params.seed}


def _generation(answer: dict[str, Any]) -> Generation:
    meta = answer["meta_info"]
    pairs = meta["output_token_logprobs"]
    ids = [int(pair[1]) for pair in pairs]
    given = answer.get("output_ids")
    if given is not None and list(given) != ids:
        raise ValueError("output_ids and output_token_logprobs disagree")
    spans = meta.get("weight_versions") or [{"start": 0, "version": meta.get("weight_version") or "default"}]
    return Generation(
        token_ids=ids,
        logprobs=[float(pair[0]) for pair in pairs],
        finish_reason=meta["finish_reason"]["type"],
        versions=[(int(span["start"]), str(span["version"])) for span in spans],
        prompt_tokens=int(meta.get("prompt_tokens", 0)),
        cached_tokens=int(meta.get("cached_tokens", 0)),
    )


def _message(data: bytes) -> str:
    """The reason in an error body, whatever its shape; one line."""
    text = data.decode("utf-8", "replace")
    try:
        table = orjson.loads(data)
    except ValueError:
        table = None
    if isinstance(table, dict):
        error = table.get("error", table)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    return " ".join(text.split())[:500]
