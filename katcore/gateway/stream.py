"""An answer as a stream of events: what there is as soon as it is sure, and something now and then while there is none.

Nothing is written before the first word or the first keep-alive: until then an error has an HTTP status of its own.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from katcore.gateway.dialects import BadRequest, Dialect, Request, Stream
from katcore.gateway.pending import PendingAnswer


async def stream_answer(
    request: web.Request, dialect: Dialect, asked: Request, pending: PendingAnswer, keep_alive_s: float
) -> web.StreamResponse:
    """Send the answer as events; the call goes on when the agent leaves, and ConnectionResetError says that it did.

    Raises BadRequest when the call fails before anything was written.
    """
    await pending.news((0, 0), keep_alive_s)
    if pending.failed:
        await asyncio.shield(pending.task)
    kind = "text/event-stream" if asked.sse else "application/json"
    response = web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-cache"})
    events = dialect.stream(asked, pending.identity, pending.prompt_tokens)
    await response.prepare(request)
    opening = events.start()
    if not pending.task.done():
        await response.write(opening)
        await _grow(response, events, pending, keep_alive_s)
        opening = b""
    await response.write_eof(opening + _end(events, pending))
    return response


async def _grow(response: web.StreamResponse, events: Stream, pending: PendingAnswer, keep_alive_s: float) -> None:
    sent = (0, 0)
    while True:
        seen, done = pending.seen, pending.task.done()
        if not done and seen != sent:
            await response.write(events.delta(pending.reasoning[sent[0] : seen[0]], pending.text[sent[1] : seen[1]]))
            sent = seen
        if done:
            return
        await pending.news(sent, keep_alive_s)
        if pending.seen == sent and not pending.task.done():
            await response.write(events.keep_alive())


def _end(events: Stream, pending: PendingAnswer) -> bytes:
    if not pending.failed:
        return b"".join(events.finish(pending.task.result()))
    if pending.task.cancelled():
        return events.fail("the rollout has ended", "released_key", 409)
    error = pending.task.exception()
    known = isinstance(error, BadRequest)
    code, status = (error.code, error.status) if isinstance(error, BadRequest) else ("internal_error", 500)
    return events.fail(str(error) if known else "an error of the gateway's own", code, status)
