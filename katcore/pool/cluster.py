"""Work items on the machines of a Ray cluster: one worker process a node, with threads in it.

In: a process, items, the cluster's address. Out: what became of each item. A node's worker lives as long as the
stage, so that engine, gateway and caches are made once a node, in that node's own environment (`$KAT_CACHE`). When a
node dies its items are done on another. Nothing is known here of order or of files: `__init__.py` is the only caller.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from katcore.errors import KatError, first_line, not_installed

ANSWER_S = 10.0
"""Seconds for a connection to the head node."""
CLOSE_S = 30.0
"""Seconds for a node's worker to close what it holds when all is done."""
CUT_S = 1.0
"""The same where the stage ends before its time; what it does not manage is its node's reaper's."""


class Worker:
    """Runs items on a node; calls come from several threads."""

    def __init__(self, process: Any, settle: Callable[[Any, Any], Any]) -> None:
        self._process, self._settle = process, settle

    def settle(self, item: Any) -> Any:
        """The outcome of one item."""
        return self._settle(self._process, item)

    def close(self) -> None:
        """Close what the stage's process holds on this node."""
        close = getattr(self._process, "close", None)
        if close is not None:
            close()


@dataclass(eq=False)
class _Node:
    """A node's worker, and how many items it has in hand."""

    name: str
    actor: Any
    busy: int = 0


class Cluster:
    """The workers of all nodes that are there at the start."""

    def __init__(self, ray: Any, nodes: list[_Node]) -> None:
        self._ray = ray
        self._nodes = nodes
        self._lock = threading.Lock()

    def settle(self, item: Any) -> Any:
        """Run an item on the node that has least to do; on another one when that node dies."""
        lost = self._ray.exceptions.RayActorError
        while True:
            node = self._take()
            try:
                return self._ray.get(node.actor.settle.remote(item))
            except lost:
                self._drop(node)
            except self._ray.exceptions.RayTaskError as error:
                raise self._cause(error) from error
            finally:
                with self._lock:
                    node.busy -= 1

    def close(self, patience_s: float) -> None:
        """End the workers, which have so many seconds to close what they hold."""
        closing = [node.actor.close.remote() for node in self._nodes]
        done, _ = self._ray.wait(closing, num_returns=len(closing), timeout=patience_s) if closing else ([], [])
        for reference in done:
            try:
                self._ray.get(reference)
            except self._ray.exceptions.RayError:
                continue  # a node that is gone holds nothing; its reaper cleans up
        for node in self._nodes:
            self._ray.kill(node.actor)

    def _take(self) -> _Node:
        with self._lock:
            if not self._nodes:
                raise KatError("every node of the Ray cluster is gone")
            node = min(self._nodes, key=lambda node: node.busy)
            node.busy += 1
            return node

    def _drop(self, node: _Node) -> None:
        with self._lock:
            if node in self._nodes:
                self._nodes.remove(node)

    def _cause(self, error: Any) -> BaseException:
        cause = error.cause
        return cause if isinstance(cause, KatError) else KatError(f"on a node of the Ray cluster: {cause}")


@contextmanager
def cluster(process: Any, settle: Callable[[Any, Any], Any], address: str, jobs: int) -> Iterator[Cluster]:
    """Workers on every node of the cluster; `local` starts one here. `jobs` is the most that one node may have."""
    try:
        import ray
    except ImportError:
        raise not_installed("ray") from None
    _answers(address)
    with redirect_stdout(sys.stderr):  # Ray prints what it has to say of its nodes, into the records otherwise
        yield from _running(ray, process, settle, address, jobs)


def _running(ray: Any, process: Any, settle: Callable[[Any, Any], Any], address: str, jobs: int) -> Iterator[Cluster]:
    try:
        with _own_signals():
            ray.init(address=None if address == "local" else address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise KatError(f"no Ray cluster at {address}: {first_line(error)}") from error
    try:
        made = Cluster(ray, list(_workers(ray, process, settle, jobs)))
        patience_s = CUT_S
        try:
            yield made
            patience_s = CLOSE_S
        finally:
            made.close(patience_s)
    finally:
        ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """A context after which signals do what they did before: Ray would end this process in its own way, with 15."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            signal.signal(number, handler)


def _answers(address: str) -> None:
    """Raise KatError when nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), ANSWER_S).close()
        except OSError as error:
            raise KatError(f"no Ray cluster at {address}: {error.strerror or error}") from error


def _workers(ray: Any, process: Any, settle: Callable[[Any, Any], Any], jobs: int) -> Iterator[_Node]:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for node in ray.nodes():
        if node["Alive"]:
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            kind = ray.remote(Worker).options(num_cpus=0, max_concurrency=jobs, scheduling_strategy=here)
            yield _Node(node["NodeManagerAddress"], kind.remote(process, settle))
