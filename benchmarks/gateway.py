"""What the gateway costs: latency that it adds to a call, calls a second on one core, memory of a rollout.

    python -m benchmarks.gateway [--json] [--peer litellm] [--against DIR] [--rollouts 512] [--turns 20] [--model DIR]

The load: tool conversations of 20 turns that grow past 4,000 prompt tokens, each call a new turn, three dialects, half
of them streamed; then bodies of about 2 KiB, and of 400 KiB (a long first message, whose own call, which tokenises it,
is left out) by themselves. The gateway has one core, load and engine
the other. The engine answers at once and the same to everybody, in ids to the gateway and in each dialect to those who
come straight; `added` is a turn through the gateway minus the same turn straight, whole answer, and to the first byte
where it is streamed. `--peer litellm` puts LiteLLM's proxy on the gateway's core and sends it the same turns; it is
installed into a folder of its own. `--against DIR` gives the same load, in turns, to the gateway of another commit's
checkout (it has a `.venv`) on that core. Last, `kat-rollout gateway` with one process and with two, on all cores: on
two, load and engine share one of them. Not here: generation. On a machine that others use read `cpu_ms_per_call`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gateway_load import DIALECTS, Conversation, Target, converse
from benchmarks.gateway_parts import Command, Engine, Peer, Served

OURS = Path(sys.executable).with_name("kat-rollout")
RESULT = Path(__file__).parent / "results" / "gateway.json"
SHORT, LOAD = 60, 1200
"""Bytes of a tool's result."""
OPENING, LONG = 400, 390_000
"""Bytes of the user's message."""


async def latencies(
    targets: dict[str, Target], turns: int, size: int, repeats: int, opening: int = OPENING, first: int = 0
) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each turn from the `first` on, by target: to the first byte and to the last."""
    found: dict[str, dict[str, list[float]]] = {name: {"first": [], "last": []} for name in targets}
    for repeat in range(repeats):
        for dialect in DIALECTS:
            for stream in (False, True):
                for name, target in targets.items():
                    conversation = Conversation(dialect, stream, size, f"{repeat}", target.model, opening)
                    for turn in (await converse(target, conversation, turns))[first:]:
                        found[name]["last"].append(turn.last_ms)
                        if stream:
                            found[name]["first"].append(turn.first_ms)
    return found


def added(found: dict[str, dict[str, list[float]]], name: str, which: str = "last") -> dict[str, float]:
    """What a target adds to going straight, turn by turn."""
    pairs = zip(found[name][which], found["straight"][which], strict=True)
    over = sorted(through - straight for through, straight in pairs)
    return {"p50": statistics.median(over), "p99": over[min(len(over) - 1, int(len(over) * 0.99))]}


async def at_once(target: Target, keys: list[str], turns: int) -> tuple[int, float]:
    """Conversations all at once, each with a key of its own; calls, and seconds."""
    conversations = [
        Conversation(DIALECTS[n % 3], n % 2 == 1, LOAD, f"together {n}", target.model) for n in range(len(keys))
    ]
    began = time.perf_counter()
    made = await asyncio.gather(*(converse(target.with_key(k), c, turns) for k, c in zip(keys, conversations)))
    return sum(map(len, made)), time.perf_counter() - began


async def compared(engine: Engine, theirs: int, args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Calls a second of this code and of another commit's, in turns on one core; medians."""
    found: dict[str, list[float]] = {}
    for _ in range(args.repeats):
        for name, program in (("against", args.against / ".venv/bin/kat-rollout"), ("beside_it", OURS)):
            for what, value in (
                await asked(Command(program, engine.url, folder, args.rollouts // 4, [theirs]), args)
            ).items():
                found.setdefault(f"{name}_{what}", []).append(value)
    return {name: statistics.median(values) for name, values in found.items()}


async def spread(engine: Engine, args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Calls a second of the command with one process and with two."""
    found: dict[str, float] = {}
    everywhere = list(range(os.cpu_count() or 1))
    for processes in (1, 2):
        command = Command(OURS, engine.url, folder, args.rollouts, everywhere, processes)
        found |= {f"processes_{processes}_{what}": value for what, value in (await asked(command, args)).items()}
    return found


async def asked(command: Command, args: argparse.Namespace) -> dict[str, float]:
    """Calls a second of a gateway that runs as a command, all sessions at once, and what a call costs it; ends it."""
    try:
        target = Target(command.url, command.keys[0], "m")
        await at_once(target, command.keys[:1], 2)  # everything is imported and connected
        cpu = command.cpu_s()
        calls, seconds = await at_once(target, command.keys[1:], args.turns)
        return {"calls_per_second": calls / seconds, "cpu_ms_per_call": 1000 * (command.cpu_s() - cpu) / calls}
    finally:
        command.close()


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything, by name."""
    ours, theirs = cores()
    os.sched_setaffinity(0, {ours})
    with Engine(ours, args.model) as engine, Served(theirs, args.model, engine.url, folder, args.profile) as served:
        straight = Target(engine.url, "none", "m")
        key = served.open(1)[0]
        targets = {"straight": straight, "gateway": Target(served.url, key, "m")}
        peer = Peer(theirs, engine.url, folder) if args.peer else None
        try:
            if peer is not None:
                targets["litellm"] = Target(peer.url, "none", "m")
            await latencies(targets, 2, LOAD, 1)  # everything is imported and connected
            found: dict[str, Any] = {}
            whole = await latencies(targets, args.turns, LOAD, args.repeats)
            short = await latencies(targets, 4, SHORT, args.repeats * 3, 100)
            long = await latencies(targets, args.turns, LOAD, 1, LONG, first=1)
            for name in list(targets)[1:]:
                at = "" if name == "gateway" else f"{name}_"
                found |= {f"{at}added_latency_ms_{q}": v for q, v in added(whole, name).items()}
                found |= {f"{at}added_first_byte_ms_{q}": v for q, v in added(whole, name, "first").items()}
                found |= {f"{at}added_2kib_ms_{q}": v for q, v in added(short, name).items()}
                found |= {f"{at}added_400kib_ms_{q}": v for q, v in added(long, name).items()}
            if peer is not None:
                cpu = peer.cpu_s()
                calls, seconds = await at_once(targets["litellm"], ["none"] * min(args.rollouts, 64), args.turns)
                found["litellm_calls_per_second"] = calls / seconds
                found["litellm_cpu_ms_per_call"] = 1000 * (peer.cpu_s() - cpu) / calls
                peer.close()  # the gateway has its core to itself from here on
            served.close_sessions()
            before, cpu = served.rss_mib(), served.cpu_s()
            keys = served.open(args.rollouts)
            calls, seconds = await at_once(targets["gateway"], keys, args.turns)
            cpu = served.cpu_s() - cpu
            found |= {"calls_per_second": calls / seconds, "cpu_ms_per_call": 1000 * cpu / calls, "calls": calls}
            found |= {"rollouts_at_once": args.rollouts}
            found |= {"rss_mib_per_rollout": (served.rss_mib() - before) / args.rollouts}
            delivered, captured = served.close_sessions()
            found |= {"delivered_fraction": delivered / captured, "captured_tokens": captured}
            found |= await compared(engine, theirs, args, folder) if args.against else {}
            return found | await spread(engine, args, folder)
        finally:
            if peer is not None:
                peer.close()


def cores() -> tuple[int, int]:
    """The core of load and engine, and the gateway's."""
    free = sorted(os.sched_getaffinity(0))
    return free[0], free[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--peer", choices=["litellm"], help="measure this proxy beside")
    parser.add_argument("--against", type=Path, help="a checkout of another commit")
    parser.add_argument("--rollouts", type=int, default=512)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5, help="conversations of each kind, one after the other")
    parser.add_argument("--model", type=Path, help="folder with tokenizer and chat template; default: KAT's own")
    parser.add_argument("--profile", type=Path, help="write the gateway's cProfile there (it is slower then)")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        found = asyncio.run(measure(args, Path(folder)))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    result = {
        "commit": commit.stdout.strip(), "python": platform.python_version(), "machine": platform.machine(),
        "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "turns": args.turns,
        "tokenizer": str(args.model.name if args.model else "KAT's own"),
        **{name: round(value, 4) for name, value in found.items()},
    }  # fmt: skip
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result) if args.json else "\n".join(f"{name:<36} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
