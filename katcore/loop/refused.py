"""What a command can be told and RUN.toml cannot, by table and key, with the reason.

Every option of the commands that the loop stands for is either taken by its table or stands here: a test counts them.
"""

from __future__ import annotations

_OWN = "the loop has an output of its own: --out DIR, --resume"
_LOOP = "say it to kat-train loop"
_TOP = "it stands at the top of the file"
_HERE = "the loop works in one process on one machine"
_SERVES = "the loop serves its own model, whose tokens it trains on"

SHARED = {
    **dict.fromkeys(("output", "out", "format", "resume", "dead-letter", "rejects", "max-failures", "strict"), _OWN),
    "lock-wait": _LOOP,
    **dict.fromkeys(("ray", "shard"), _HERE),
    "ordered": "attempts are packed in the order of the tasks, whichever ends first",
    "seed": _TOP,
    **dict.fromkeys(("config", "no-config", "print-config", "dry-run", "quiet", "verbose", "log-format"), _LOOP),
}
"""Options of all commands; `jobs` is taken by [rollout]."""

REFUSED: dict[str, dict[str, str]] = {
    "rollout": {
        **SHARED,
        "engine": _SERVES,
        "model": _TOP,
        "attempt": "the loop counts iterations with it",
        "grade-timeout": "attempts are graded within [verify] timeout",
        **dict.fromkeys(("prompt-price", "completion-price"), "the loop pays nobody for tokens"),
        "agent-sampling": "training needs one temperature, that of [rollout]",
        **dict.fromkeys(("upstream-model", "key-variable"), _SERVES),
    },
    "verify": {
        **SHARED,
        "jobs": "attempts are graded as they end, [rollout] jobs at a time",
        "tasks": _TOP,
    },
    "pack-trie": {
        **SHARED,
        "jobs": "packing has one thread",
        "for": "packs are made for [train] objective",
        "model": _TOP,
    },
    "train": {
        **SHARED,
        "model": _TOP,
        "epochs": "an iteration's packs are read once; updates = N steps on them more often",
        "plateau": "the loss of attempts that are drawn anew tells no end",
        "batch-packs": "a step has [pack-trie] groups-per-step groups",
        "deepspeed": _HERE,
        "save-every": "each iteration is a checkpoint",
        "keep": "it is [loop] keep",
        "temperature": "it is [rollout] temperature",
    },
}

TABLES = {
    "mine": "the loop starts from tasks: kat-mine and kat-build-env make them",
    "build-env": "the loop starts from tasks: kat-mine and kat-build-env make them",
    "distill": "the loop asks no experts: kat-distill does",
}
"""Tables of commands that the loop does not stand for."""
