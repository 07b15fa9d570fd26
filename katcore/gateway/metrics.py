"""What the gateway counts, by prometheus-client: a registry of its own for each gateway, nothing global.

kat_gateway_calls_total{dialect,result}   kat_gateway_tokens_total{kind}   kat_gateway_call_seconds (histogram)
kat_gateway_retries_coalesced_total       kat_gateway_replaced_total       gauges asked for at the time of a scrape
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from katcore.records import Call

if TYPE_CHECKING:
    from prometheus_client import Counter

PREFIX = "kat_gateway"
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds of the histograms' buckets, in seconds."""
HELP = {
    "retries_coalesced": "Retries that got the answer of the call they repeat.",
    "replaced": "Answers that a hook replaced.",
}


class Metrics:
    """The counters, histograms and gauges of one gateway."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        own = self._registry = CollectorRegistry()
        labels = ["dialect", "result"]
        self._calls = Counter(f"{PREFIX}_calls", "Model calls that have ended.", labels, registry=own)
        self._tokens = Counter(f"{PREFIX}_tokens", "Tokens of answered calls.", ["kind"], registry=own)
        self._events = {name: Counter(f"{PREFIX}_{name}", said, registry=own) for name, said in HELP.items()}
        self._seconds = Histogram(f"{PREFIX}_call_seconds", "Seconds that a call took.", buckets=BUCKETS, registry=own)
        # Looking a child up by its labels costs more than counting does, so each is looked up once.
        self._calls_of: dict[tuple[str, str], Counter] = {}
        self._tokens_of: dict[str, Counter] = {}

    def gauge(self, name: str, said: str, now: Callable[[], float]) -> None:
        """Add a gauge whose value `now` returns each time that metrics are read; `said` is its help text."""
        from prometheus_client import Gauge

        Gauge(f"{PREFIX}_{name}", said, registry=self._registry).set_function(now)

    def add(self, event: str) -> None:
        """Count one of the events in HELP."""
        self._events[event].inc()

    def answered(self, call: Call) -> None:
        """Count a call that has ended."""
        result = "ok" if call.error is None else call.error.partition(":")[0].lower()
        counter = self._calls_of.get((call.dialect, result))
        if counter is None:
            counter = self._calls_of[call.dialect, result] = self._calls.labels(call.dialect, result)
        counter.inc()
        for usage, count in call.usage.items():
            counter = self._tokens_of.get(usage)
            if counter is None:
                counter = self._tokens_of[usage] = self._tokens.labels(usage.removesuffix("_tokens"))
            counter.inc(max(0, count))  # an endpoint may say anything
        self._seconds.observe(call.seconds)

    def calls(self) -> int:
        """Model calls that have ended; may be asked from any thread."""
        return _total(self._calls)

    def tokens(self, kind: str) -> int:
        """Tokens of answered calls of a kind: `prompt`, `completion`, `cached`; may be asked from any thread."""
        return _total(self._tokens, kind=kind)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics and their content type: OpenMetrics if `accept` names it, else Prometheus' text format 0.0.4."""
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _total(counter: Counter, **labels: str) -> int:
    samples = [sample for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return int(sum(sample.value for sample in samples if labels.items() <= sample.labels.items()))
