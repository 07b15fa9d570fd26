"""What rollouts have used: calls, tokens, seconds, and money where prices are known.

In: a trajectory. Out: numbers to add up. Tokens are those that the gateway counted: for an engine that takes ids they
are exact, for an outside endpoint what it says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from katcore.records import Trajectory
from katcore.rollout.options import PriceOptions


@dataclass(frozen=True)
class Tally:
    """Turns a trajectory into the numbers that it adds to the totals."""

    prices: PriceOptions = PriceOptions()

    def __call__(self, record: object) -> dict[str, float]:
        """The record's numbers by name; `agent_s` are seconds of agents, many of which run at the same time."""
        if not isinstance(record, Trajectory):
            return {}
        usages = [call.usage for call in record.calls]
        prompt, sampled, cached = (
            sum(int(usage.get(f"{kind}_tokens") or 0) for usage in usages)
            for kind in ("prompt", "completion", "cached")
        )
        found: dict[str, float] = {
            "calls": len(record.calls),
            "failed_calls": sum(call.error is not None for call in record.calls),
            "prompt_tokens": prompt,
            "cached_tokens": cached,
            "sampled_tokens": sampled,
            "agent_s": record.timing.agent,
            "never_called": not record.calls and record.exit.kind == "agent_error",
            "undelivered": sum(call.delivered is False for call in record.calls),
            "stopped": record.exit.kind == "stopped",
            "dollars": self._dollars(prompt, sampled),
        }
        return {name: number for name, number in found.items() if number}

    def _dollars(self, prompt_tokens: float, sampled_tokens: float) -> float:
        return (prompt_tokens * self.prices.prompt_price + sampled_tokens * self.prices.completion_price) / 1e6
