"""What the gateway counts, in Prometheus' text format (version 0.0.4).

kat_gateway_calls_total{dialect,result}   kat_gateway_tokens_total{kind}   kat_gateway_call_seconds (histogram)
kat_gateway_retries_coalesced_total       kat_gateway_replaced_total       gauges given at the time of asking
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from katcore.records import Call

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds, in seconds."""
HELP = {
    "retries_coalesced": "Retries that got the answer of the call they repeat.",
    "replaced": "Answers that a hook replaced.",
}


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self._seconds = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def add(self, event: str) -> None:
        """Count one of the events in HELP."""
        self.events[event] += 1

    def answered(self, call: Call) -> None:
        """Count a call that has ended."""
        result = "ok" if call.error is None else call.error.partition(":")[0].lower()
        self.calls[call.dialect, result] += 1
        for kind, count in call.usage.items():
            self.tokens[kind.removesuffix("_tokens")] += count
        self._seconds[bisect_left(BUCKETS, call.seconds)] += 1
        self._sum += call.seconds

    def text(self, gauges: Mapping[str, float] | None = None) -> str:
        """All of it; `gauges` are what is true now, by name."""
        return "\n".join([*self._counters(), *self._histogram(), *_gauges(gauges or {})]) + "\n"

    def _counters(self) -> Iterator[str]:
        yield from _head("calls_total", "counter", "Model calls that have ended.")
        for (dialect, result), count in sorted(self.calls.items()):
            yield f'kat_gateway_calls_total{{dialect="{dialect}",result="{result}"}} {count}'
        yield from _head("tokens_total", "counter", "Tokens of answered calls.")
        for kind, count in sorted(self.tokens.items()):
            yield f'kat_gateway_tokens_total{{kind="{kind}"}} {count}'
        for name, said in HELP.items():
            yield from _head(f"{name}_total", "counter", said)
            yield f"kat_gateway_{name}_total {self.events[name]}"

    def _histogram(self) -> Iterator[str]:
        yield from _head("call_seconds", "histogram", "Seconds that a call took.")
        total = 0
        for bound, count in zip((*BUCKETS, "+Inf"), self._seconds):
            total += count
            yield f'kat_gateway_call_seconds_bucket{{le="{bound}"}} {total}'
        yield f"kat_gateway_call_seconds_sum {self._sum:.6f}"
        yield f"kat_gateway_call_seconds_count {total}"


def _gauges(gauges: Mapping[str, float]) -> Iterator[str]:
    for name, value in gauges.items():
        yield from _head(name, "gauge", name.replace("_", " ").capitalize() + ".")
        yield f"kat_gateway_{name} {value:g}"


def _head(name: str, kind: str, said: str) -> Iterator[str]:
    yield f"# HELP kat_gateway_{name} {said}"
    yield f"# TYPE kat_gateway_{name} {kind}"
