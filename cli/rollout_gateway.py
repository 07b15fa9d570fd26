"""kat-rollout gateway: serve agents that somebody else runs, and write their trajectories in the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from katcli.run import Run
from katcore.rollout.options import GatewayOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from katcore.gateway.serve import Served
    from katcore.gateway.spread import Spread
    from katcore.pool import Item
    from katcore.records import Trajectory


def gateway(run: Run, options: GatewayOptions) -> None:
    """Serve agents over HTTP until interrupted, then write a trajectory for each key that was used.

    Agents speak Anthropic Messages, OpenAI Chat Completions, OpenAI Responses or Gemini's generateContent, streamed or
    not, and need a base URL and a key, no change. The engine sees exact tokens, and every call is kept. SIGINT or
    SIGTERM ends the service. After kill -9, --recover with the same --journals writes what had been answered.
    """
    from katcore.engine import SamplingParams
    from katcore.engine.names import check_placement, parse
    from katcore.errors import UsageError
    from katcore.gateway.serve import Served, Serving, recovered
    from katcore.gateway.server import Gateway
    from katcore.gateway.session import Caps
    from katcore.gateway.spread import Spread
    from katcore.model.placement import Placement

    folder = _journals(options.journals)
    if options.recover:
        if options.journals is None:
            raise UsageError("--recover needs to know where the journals are", hint="add --journals DIR")
        run.stage(_items(recovered(folder)), _payload)
        return
    if not options.engine:
        raise UsageError("no engine", hint="name one with --engine, such as sglang:URL or openai:URL")
    service, caps, drawn = options.service, options.caps, options.sampling
    placement = Placement(options.placement.engine_device, options.placement.engine_dtype)
    check_placement(parse(options.engine), placement)
    serving = Serving(
        engine=options.engine,
        model=options.model,
        sessions=service.sessions,
        upstream_model=options.endpoint.upstream_model,
        key_variable=options.endpoint.key_variable,
        caps=Caps(
            calls=caps.max_turns,
            tokens=caps.max_tokens,
            seconds=caps.timeout,
            context=caps.context,
            completion=caps.max_completion,
        ),
        sampling=SamplingParams(temperature=drawn.temperature, top_p=drawn.top_p, top_k=drawn.top_k),
        agent_sampling=options.agent_sampling,
        history=options.history,
        seed=run.seed,
        placement=placement,
    )
    if run.dry_run:
        run.log(f"would serve {service.sessions} keys at {service.listen} with {options.engine}")
        return
    listen, metrics = _address(service.listen), _address(service.metrics) if service.metrics else None
    if service.processes > 1:
        count = min(service.processes, service.sessions)
        with Spread(serving, count, folder, tcp=listen, metrics=metrics, sync=options.fsync) as spread:
            _serve(run, spread, spread.port, spread.metrics_ports, service.keys)
        return
    with Gateway(folder, tcp=listen, metrics=metrics, sync=options.fsync) as running:
        _serve(run, Served(running, serving), running.port, [running.metrics_port], service.keys)


def _serve(
    run: Run, served: Served | Spread, port: int | None, metrics: Sequence[int | None], keys: Path | None
) -> None:
    _hand_out(run, served, keys)
    run.log(f"listening on port {port}; interrupt to end")
    if ports := [str(each) for each in metrics if each is not None]:
        run.log(f"metrics on port {', '.join(ports)}")
    run.stage(_items(list(_until_interrupted(run, served))), _payload)
    for line in served.said():
        run.warn(line)
    served.forget()


def _until_interrupted(run: Run, served: Served | Spread) -> Iterator[Trajectory]:
    from katcli.signals import ENDINGS, Terminated

    try:
        _watch(served)
    except (KeyboardInterrupt, Terminated):
        ENDINGS.caught()
        run.log("ending")
    yield from served.close()


def _hand_out(run: Run, served: Served | Spread, keys: Path | None) -> None:
    import msgspec

    from katcore.disk.whole import write_whole

    lines = [msgspec.json.encode(line).decode() for line in served.access()]
    if keys is None:
        for line in lines:
            run.log(line)
        return
    write_whole(keys, "\n".join(lines) + "\n", mode=0o600)


def _watch(served: Served | Spread) -> None:
    """Wait for an interrupt; on a terminal, show the sessions meanwhile. KatError when a process of several is gone."""
    import sys
    import time

    height = 0
    while True:
        lines = served.table()
        if sys.stderr.isatty():
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
