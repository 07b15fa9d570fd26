"""Errors that people see, what to install when something is missing, and how one record leaves a stage early.

Raise them where the fact is known; `cli/contract.py` turns them into one line and the right exit code.
"""

from __future__ import annotations

EXTRAS = {
    "torch": "train", "transformers": "train", "safetensors": "train", "tensorboardX": "train",
    "deepspeed": "deepspeed", "ray": "ray", "langdetect": "ifeval", "nltk": "ifeval",
}  # fmt: skip
"""Packages that the base install does without, by name of import, and the extra that brings each."""


def extra_hint(extra: str) -> str:
    """How to get what an extra brings. No package index has KAT, so it is by the checkout (README.md, Install)."""
    return f"pip install -e '.[{extra}]', in KAT's checkout"


def first_line(error: BaseException) -> str:
    """What another library's error says, on one line; the name of its type where it says nothing."""
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__


class KatError(Exception):
    """The command cannot go on. One line for people, an optional hint on the next, and an exit code."""

    code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(KatError):
    """The command was called wrongly, or something it needs is not configured."""

    code = 2


def not_installed(package: str) -> UsageError:
    """The error for one of `EXTRAS` that is not there."""
    return UsageError(f"{package} is not installed", hint=extra_hint(EXTRAS[package]))


class InputError(KatError):
    """The input is bad, truncated or of another kind."""

    code = 4


class BusyError(KatError):
    """Somebody else holds the lock on the output (EX_TEMPFAIL: cron may try again)."""

    code = 75


class SandboxError(KatError):
    """The sandbox itself failed: says nothing about what ran inside."""


class EngineError(KatError):
    """The inference engine failed, refused or did not answer."""


class RecordError(Exception):
    """One record could not be processed: it becomes a dead letter and the stage goes on (exit 3)."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(stage, reason)  # as given, so that it crosses to another process
        self.stage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class Rejected(Exception):
    """One record was turned away on purpose: a normal result, kept in `--rejects` and counted (exit 0)."""

    def __init__(self, stage: str, reason: str, evidence: dict[str, object] | None = None) -> None:
        super().__init__(stage, reason, evidence)
        self.stage = stage
        self.reason = reason
        self.evidence = evidence or {}

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class ReaderLeft(Exception):
    """Whoever read our standard output is gone: nothing is wrong, there is nobody left to write for (exit 0)."""
