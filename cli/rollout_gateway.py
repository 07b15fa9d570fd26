"""kat-rollout gateway: serve agents that somebody else runs, and write their trajectories in the end."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from katcli.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from katcore.gateway.serve import Served
    from katcore.gateway.server import Gateway
    from katcore.pool import Item
    from katcore.records import Trajectory


class HistoryName(StrEnum):
    """What becomes of earlier turns that the chat template would write differently now."""

    sampled = "sampled"
    template = "template"


def gateway(
    run: Run,
    engine: Annotated[
        str, typer.Option("--engine", metavar="ENGINE", help="What answers; openai:URL and anthropic:URL pass through.")
    ] = "",
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Model folder: tokenizer and chat template.")
    ] = None,
    upstream_model: Annotated[
        str, typer.Option("--upstream-model", metavar="NAME", help="The model's name at an outside endpoint.")
    ] = "",
    key_variable: Annotated[
        str, typer.Option("--key-variable", metavar="NAME", help="Environment variable with an outside endpoint's key.")
    ] = "",
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where agents connect; port 0 is any free one.")
    ] = "127.0.0.1:0",
    metrics: Annotated[
        str, typer.Option("--metrics", metavar="HOST:PORT", help="Where Prometheus reads; nowhere by default.")
    ] = "",
    sessions: Annotated[
        int, typer.Option("--sessions", metavar="N", min=1, help="Keys to hand out; each is one trajectory.")
    ] = 1,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help="Write keys and URLs there, for its owner alone; else to stderr."),
    ] = None,
    history: Annotated[
        HistoryName, typer.Option("--history", help="Earlier turns: as sampled, or as the template has them now.")
    ] = HistoryName.sampled,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="Sampling temperature.")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", min=0, max=1, help="Nucleus sampling; 1 is off.")] = 1.0,
    top_k: Annotated[int, typer.Option("--top-k", metavar="N", min=-1, help="Most likely tokens; -1 is off.")] = -1,
    max_turns: Annotated[int, typer.Option("--max-turns", metavar="N", min=1, help="Model calls of a session.")] = 200,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Sampled tokens of a session.")
    ] = 1_000_000,
    max_completion: Annotated[
        int, typer.Option("--max-completion", metavar="N", min=1, help="Sampled tokens of one model call.")
    ] = 4096,
    context: Annotated[
        int, typer.Option("--context", metavar="N", min=1, help="Tokens of prompt and answer of one call.")
    ] = 1 << 20,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest life of a session.")
    ] = 86_400.0,
    agent_sampling: Annotated[
        bool, typer.Option("--agent-sampling", help="Let the agent's own temperature and the like stand.")
    ] = False,
    journals: Annotated[
        Path | None, typer.Option("--journals", metavar="DIR", help="Where calls are kept until they are written.")
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Serve nothing: write what the journals of a killed gateway hold.")
    ] = False,
    fsync: Annotated[bool, typer.Option("--fsync", help="Let the journal of calls survive a loss of power.")] = False,
) -> None:
    """Serve agents over HTTP until interrupted, then write a trajectory for each key that was used.

    Agents speak Anthropic Messages, OpenAI Chat Completions or OpenAI Responses, streamed or not, and need a base URL
    and a key, no change. The engine sees exact tokens, and every call is kept. SIGINT or SIGTERM ends the service.
    After kill -9, --recover with the same --journals writes what had been answered.
    """
    from katcore.engine import SamplingParams
    from katcore.errors import UsageError
    from katcore.gateway.serve import Served, Serving, recovered
    from katcore.gateway.server import Gateway
    from katcore.gateway.session import Caps

    folder = _journals(journals)
    if recover:
        if journals is None:
            raise UsageError("--recover needs to know where the journals are", hint="add --journals DIR")
        run.stage(_items(recovered(folder)), _payload)
        return
    if not engine:
        raise UsageError("no engine", hint="name one with --engine, such as sglang:URL or openai:URL")
    serving = Serving(
        engine=engine,
        model=model,
        sessions=sessions,
        upstream_model=upstream_model,
        key_variable=key_variable,
        caps=Caps(calls=max_turns, tokens=max_tokens, seconds=timeout, context=context, completion=max_completion),
        sampling=SamplingParams(temperature=temperature, top_p=top_p, top_k=top_k),
        agent_sampling=agent_sampling,
        history=history.value,
        seed=run.seed,
    )
    if run.dry_run:
        run.log(f"would serve {sessions} keys at {listen} with {engine}")
        return
    with Gateway(folder, tcp=_address(listen), metrics=_address(metrics) if metrics else None, sync=fsync) as running:
        served = Served(running, serving)
        made = list(_until_interrupted(run, running, served, keys))
        run.stage(_items(made), _payload)
    for session in served.sessions:
        session.journal.path.unlink(missing_ok=True)


def _until_interrupted(run: Run, running: Gateway, served: Served, keys: Path | None) -> Iterator[Trajectory]:
    from katcli.contract import Terminated

    _hand_out(run, served, keys)
    run.log(f"listening on port {running.port}; interrupt to end")
    if running.metrics_port is not None:
        run.log(f"metrics on port {running.metrics_port}")
    try:
        _watch(served)
    except (KeyboardInterrupt, Terminated):
        run.log("ending")
    yield from served.close()


def _hand_out(run: Run, served: Served, keys: Path | None) -> None:
    import msgspec

    from katcore.disk.whole import write_whole

    lines = [msgspec.json.encode(line).decode() for line in served.access()]
    if keys is None:
        for line in lines:
            run.log(line)
        return
    write_whole(keys, "\n".join(lines) + "\n", mode=0o600)


def _watch(served: Served) -> None:
    """Wait; on a terminal, show what goes on."""
    import sys
    import time

    height = 0
    while True:
        if sys.stderr.isatty():
            lines = served.table()
            back = f"\x1b[{height}F\x1b[J" if height else ""
            sys.stderr.write(back + "\n".join(lines) + "\n")
            sys.stderr.flush()
            height = len(lines)
        time.sleep(1.0)


def _items(trajectories: Iterable[Trajectory]) -> Iterator[Item]:
    from katcore.pool import Item
    from katcore.records import key_of

    for trajectory in trajectories:
        yield Item(key_of(trajectory), trajectory)


def _payload(item: Item) -> list[Trajectory]:
    return [item.payload]


def _address(text: str) -> tuple[str, int]:
    from katcore.errors import UsageError

    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{text!r} is no address", hint="write HOST:PORT")
    return host, int(port)


def _journals(given: Path | None) -> Path:
    import os

    from katcore.disk.cache import cache_dir

    return given or cache_dir("journal") / str(os.getpid())
