"""kat-rollout on a real Ray cluster of two nodes, each in a network namespace of its own, against one node without Ray.

`make test-ray` runs it (ray is 0.4 GB and not among the test packages); root and iproute2 are needed. Each node has a
cache of its own, so nothing can be shared but what crosses the wire.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.records import encode
from tests.support.rollout_tasks import task
from tests.support.waiting import until

pytestmark = pytest.mark.ray

PACKAGES = os.environ.get("KAT_TEST_RAY", "")
TABLE = os.environ.get("KAT_RAY_TABLE", "")
HEAD, SECOND = "10.231.77.1", "10.231.77.2"
TASKS, SAMPLES = 10, 4
STARTED_S = 120.0


def sh(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, check=True, capture_output=True, text=True, **more)


class Nodes:
    """Two namespaces joined by a veth pair, and the `ray start --block` in each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tag = secrets.token_hex(2)
        self.spaces = [f"kat-{tag}-{number}" for number in (1, 2)]
        self.links = [f"kv{tag}{number}" for number in (1, 2)]
        self.env = {
            **os.environ,
            "PYTHONPATH": PACKAGES,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(folder),
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        sh("ip", "link", "add", self.links[0], "type", "veth", "peer", "name", self.links[1])
        for space, link, address in zip(self.spaces, self.links, (HEAD, SECOND)):
            sh("ip", "netns", "add", space)
            sh("ip", "link", "set", link, "netns", space)
            sh("ip", "-n", space, "addr", "add", f"{address}/24", "dev", link)
            for device in ("lo", link):
                sh("ip", "-n", space, "link", "set", device, "up")
        self._ray(0, "--head", "--port=6379", f"--node-ip-address={HEAD}", "--include-dashboard=false")
        self._until(1)
        self._ray(1, f"--address={HEAD}:6379", f"--node-ip-address={SECOND}")
        self._until(2)

    def on(self, space: int, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.spaces[space], *words]

    def end(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)
        for space in self.spaces:
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)

    def survivors(self) -> list[int]:
        found = [sh("ip", "netns", "pids", space).stdout.split() for space in self.spaces]
        return [int(pid) for pids in found for pid in pids]

    def _ray(self, space: int, *words: str) -> None:
        env = {**self.env, "KAT_CACHE": str(self.folder / f"cache-{space}")}
        command = self.on(space, sys.executable, "-m", "ray.scripts.scripts", "start", *words)
        command += ["--block", "--num-cpus=2", "--num-gpus=0", "--object-store-memory=100000000"]
        log = (self.folder / f"ray-{space}.log").open("wb")
        self.running.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))

    def _until(self, count: int) -> None:
        ask = "import ray,sys; ray.init('%s:6379', logging_level='error'); print(sum(n['Alive'] for n in ray.nodes()))"
        deadline = time.monotonic() + STARTED_S
        while True:
            command = self.on(0, sys.executable, "-c", ask % HEAD)
            done = subprocess.run(command, env=self.env, capture_output=True, text=True)
            if done.stdout.strip() == str(count):
                return
            logs = "".join(path.read_text()[-800:] for path in self.folder.glob("ray-*.log"))
            assert time.monotonic() < deadline, f"{done.stdout} {done.stderr[-800:]} {logs}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    made = Nodes(Path("/tmp") / f"kr{secrets.token_hex(3)}")  # short: Ray's sockets lie below
    made.folder.mkdir()
    try:
        made.start()
        yield made
    finally:
        made.end()
        sh("rm", "-rf", str(made.folder))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("work")
    tasks, script = folder / "tasks.jsonl", folder / "script.jsonl"
    tasks.write_bytes(b"".join(encode(task(f"calc-{n}")) + b"\n" for n in range(TASKS)))
    lines = []
    for sample in range(SAMPLES):
        commands = [f"ls -a; echo {sample} > s-{sample}", "python3 -c 'print(6*7)'", f"sleep 0.{sample + 1}; cat s-*"]
        calls = [{"function": {"name": "bash", "arguments": json.dumps({"command": c})}} for c in commands]
        messages = [{"role": "assistant", "tool_calls": [call]} for call in calls]
        lines.append(json.dumps({"sample": sample, "messages": messages}))
    script.write_text("\n".join(lines) + "\n")
    args = ["--engine", f"scripted:{script}", "--samples", str(SAMPLES), "-j", "8", "--ordered"]
    return ["kat-rollout", str(tasks), *args]


@pytest.fixture(scope="module")
def alone(work: list[str]) -> list[Any]:
    """The same without Ray."""
    return timeless(subprocess.run(work, check=True, capture_output=True).stdout)


def timeless(data: bytes) -> list[Any]:
    """Records without what the clock wrote."""
    records = [json.loads(line) for line in data.splitlines()]
    for record in records:
        record.pop("timing", None)
        for call in record.get("calls", []):
            for name in ("started_at", "seconds", "first_token_s"):
                call.pop(name)
    return records


def on_ray(nodes: Nodes, work: list[str], *more: str, **options: Any) -> subprocess.Popen[bytes]:
    command = nodes.on(0, *work, "--ray", f"{HEAD}:6379", "--log-format", "json", *more)
    env = {**nodes.env, "KAT_CACHE": str(nodes.folder / "cache-driver")}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_two_nodes_give_what_one_gives(nodes: Nodes, work: list[str], alone: list[Any]) -> None:
    began = time.monotonic()
    running = on_ray(nodes, work)
    made, said = running.communicate(timeout=300)
    seconds = time.monotonic() - began
    assert running.returncode == 0, said.decode()
    assert timeless(made) == alone, "and in the same order"
    assert len(alone) == TASKS * (1 + SAMPLES)
    both = [len(list((nodes.folder / f"cache-{space}" / "work").glob("[0-9a-f]*"))) for space in (0, 1)]
    assert all(both), f"both nodes made the repository in their own cache: {both}"
    assert not (nodes.folder / "cache-driver" / "work").exists(), "and the caller made none"
    assert no_box_left(nodes)
    if TABLE:
        Path(TABLE).write_text(
            f"Two Ray nodes in two network namespaces, {TASKS} tasks x {SAMPLES} samples, scripted engine, -j 8: all "
            f"{TASKS * SAMPLES} trajectories equal those of one node without Ray (ids, nodes, tokens, calls, patches, "
            f"order; times aside); both nodes took part. {seconds:.1f} s with the start of both workers.\n"
        )


def no_box_left(nodes: Nodes, which: str = "01") -> bool:
    deadline = time.monotonic() + 20
    while left := list(nodes.folder.glob(f"cache-[{which}]/box/*")):
        if time.monotonic() > deadline:
            raise AssertionError(left)
        time.sleep(0.1)
    return True


def test_a_killed_caller_is_resumed(nodes: Nodes, work: list[str], alone: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = on_ray(nodes, work, "-o", str(out), "--resume")
    while not list(tmp_path.glob("out.jsonl.calls/*.done")):
        assert first.poll() is None
        time.sleep(0.05)
    first.kill()
    first.communicate()
    last = on_ray(nodes, work, "-o", str(out), "--resume")
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said.decode()
    assert timeless(out.read_bytes()) == alone
    summary = json.loads(said.splitlines()[-1])
    assert summary.get("skipped", 0) + summary.get("taken_back", 0) > 0
    assert no_box_left(nodes)


def test_a_signal_ends_the_caller_and_what_it_has_on_the_nodes(nodes: Nodes, work: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    running = on_ray(nodes, work[:-1], "-o", str(out), "--resume")
    until(lambda: list(tmp_path.glob("out.jsonl.calls/*.done")))
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 143, said.decode()
    assert no_box_left(nodes)


def test_groups_by_rule_cross_the_wire(nodes: Nodes, work: list[str]) -> None:
    args = ["kat-rollout", work[1], "--scaffold", "nop", "--samples", "3", "--probe", "2", "-j", "4", "--ordered"]
    here = subprocess.run(args, check=True, capture_output=True).stdout
    running = on_ray(nodes, args)
    made, said = running.communicate(timeout=300)
    assert running.returncode == 0, said.decode()
    assert timeless(made) == timeless(here) and len(made.splitlines()) == TASKS * 3


def test_a_cluster_that_is_not_there_is_one_line(nodes: Nodes, work: list[str]) -> None:
    command = nodes.on(0, *work, "--ray", f"{SECOND}:1")
    done = subprocess.run(command, env=nodes.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr and f"{SECOND}:1" in done.stderr


def test_a_node_that_dies_loses_no_rollout(nodes: Nodes, work: list[str], alone: list[Any]) -> None:
    """The last: it takes the second node away."""
    running = on_ray(nodes, work)
    cache = nodes.folder / "cache-1"
    while not list(cache.glob("box/*/rollout-*")):
        assert running.poll() is None
        time.sleep(0.02)
    for pid in sh("ip", "netns", "pids", nodes.spaces[1]).stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
    made, said = running.communicate(timeout=300)
    assert running.returncode == 0, said.decode()
    assert timeless(made) == alone
    assert no_box_left(nodes, "0"), "with a machine its reaper goes too; its next run cleans up"
