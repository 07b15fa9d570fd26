"""Options of kat-train and kat-train init."""

import math
from pathlib import Path
from typing import Annotated, Literal

from katcore.errors import UsageError
from katcore.options import Options, opt

ObjectiveName = Literal["sft", "em-sft", "tst", "rft", "grpo", "gspo", "opd", "mixed"]
"""What is minimised; `losses.OBJECTIVES` has one entry for each."""
ReducerName = Literal["own", "token-mean", "seq-mean-token-mean", "turn-mean", "constant"]
"""How per-token losses become one number."""
Segment = Literal["token", "turn", "sequence"]
"""What one importance ratio spans."""
SegmentName = Literal["own", "token", "turn", "sequence"]
ScheduleName = Literal["constant", "linear", "cosine", "wsd"]
"""The learning rate's course after the warm-up."""
AttentionName = Literal["auto", "reference", "segments", "triton", "flex", "fa4"]
"""Backends of tree attention."""
BETAS = (0.9, 0.95)
"""AdamW's."""
WSD_DECAY = 0.2
"""The share of the steps, at their end, over which `--schedule wsd` lets the rate fall to 0."""


class Optimizer(Options, frozen=True):
    """How the weights move, and when they stop."""

    lr: Annotated[float, opt("Learning rate of AdamW.", metavar="RATE", ge=0)] = 1e-4
    epochs: Annotated[int, opt("Passes over the input; 0: until another limit.", metavar="N", ge=0)] = 1
    max_steps: Annotated[int, opt("Stop after N optimiser steps; 0: no limit.", metavar="N", ge=0)] = 0
    plateau: Annotated[
        str,
        opt(
            "Stop when the mean loss of STEPS steps is less than REL (a fraction) below that of the STEPS before.",
            metavar="REL@STEPS",
        ),
    ] = ""
    schedule: Annotated[ScheduleName, opt("Learning rate after the warm-up; wsd stays and falls at the end.")] = (
        "constant"
    )
    warmup: Annotated[int, opt("Steps of linear warm-up.", metavar="N", ge=0)] = 0
    weight_decay: Annotated[float, opt("AdamW's decay.", metavar="W", ge=0)] = 0.0
    grad_clip: Annotated[float, opt("Largest gradient norm; 0: no limit.", metavar="NORM", ge=0)] = 1.0

    def __post_init__(self) -> None:
        if self.schedule != "constant" and not self.max_steps:
            raise UsageError(f"a {self.schedule} schedule needs to know where it ends", hint="add --max-steps N")

    def lr_at(self, step: int) -> float:
        """Learning rate of the step after `step` finished ones: linear warm-up, then the schedule."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.lr
        done = min((step - self.warmup) / max(self.max_steps - self.warmup, 1), 1.0)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "linear":
            return self.lr * (1 - done)
        return self.lr * min(1.0, (1 - done) / WSD_DECAY)  # wsd: warm up, stay, decay


class LossSettings(Options, frozen=True):
    """What the losses can be told. Their formulas: docs/method.md § 7 and 8."""

    clip_low: Annotated[
        float | None, opt("Ratios above 1 - E; by default what suits the ratio.", metavar="E", ge=0)
    ] = None
    clip_high: Annotated[float | None, opt("Ratios below 1 + E; inf: no bound.", metavar="E", ge=0, infinite=True)] = (
        None
    )
    negative_weight: Annotated[float, opt("Weight of negative advantages.", metavar="W", ge=0)] = 1.0
    segment: Annotated[SegmentName, opt("What a ratio spans; own: a turn for gspo, else a token.")] = "own"
    turn_ratio: Annotated[
        Literal["mean", "product"], opt("A turn's ratio: its tokens' geometric mean, or their product.")
    ] = "mean"
    off_policy: Annotated[
        Literal["none", "icepop", "tis"], opt("Weigh tokens by trainer over engine: drop outside, or truncate.")
    ] = "none"
    icepop_low: Annotated[float, opt("icepop: drop ratios below.", metavar="K", ge=0)] = 0.5
    icepop_high: Annotated[float, opt("icepop: drop ratios above; inf: none.", metavar="K", ge=0, infinite=True)] = 5.0
    tis_clip: Annotated[float, opt("tis: truncate ratios above; inf: none.", metavar="K", ge=0, infinite=True)] = 2.0
    max_staleness: Annotated[int | None, opt("Mask tokens of weights over N steps old.", metavar="N", ge=0)] = None
    kl_ref: Annotated[float, opt("Weight of leaving the reference policy.", metavar="W", ge=0)] = 0.0
    kl_estimator: Annotated[Literal["k1", "k2", "k3"], opt("How the divergence is estimated.")] = "k3"
    opd_weight: Annotated[float, opt("opd, mixed: weight of the teacher's stream.", metavar="W")] = 1.0
    """The c of method.md § 8 times the stream's own weight: only their product matters."""
    mix_rl: Annotated[float, opt("mixed: weight of the policy gradient.", metavar="W")] = 1.0
    mix_ce: Annotated[float, opt("mixed: weight of the supervised stream.", metavar="W")] = 1.0

    def segment_or(self, usual: Segment) -> Segment:
        """What a ratio spans; `usual` for an objective that nobody told."""
        return usual if self.segment == "own" else self.segment


class ObjectiveOptions(Options, frozen=True):
    """How the loss of a step is made of its tokens'."""

    reducer: Annotated[ReducerName, opt("How tokens' losses are averaged over the step; own: as published.")] = "own"
    constant: Annotated[int, opt("What `--reducer constant` divides a sample by.", metavar="TOKENS", ge=1)] = 1024
    loss: LossSettings = LossSettings()
    difficulty_weight: Annotated[float, opt("How much more hard tasks' advantages count.", metavar="L", ge=0)] = 0.0
    entropy_weight: Annotated[float, opt("How much more uncertain samples' count.", metavar="M", ge=0)] = 0.0
    router_loss: Annotated[float, opt("Weight of balancing experts' loads; supervised only.", metavar="W", ge=0)] = 0.0
    passes: Annotated[int, opt("Average log-probs over K passes that differ in numerics.", metavar="K", ge=1)] = 1
    temperature: Annotated[float, opt("Temperature that the tokens were sampled at.", metavar="T")] = 1.0
    updates: Annotated[int, opt("Optimiser steps on each step's packs.", metavar="N", ge=1)] = 1


class ComputeOptions(Options, frozen=True):
    """How the work of a step is done."""

    budget: Annotated[
        int,
        opt(
            "Tokens whose activations are alive at once: larger rows go in parts; 0: whole rows.",
            metavar="TOKENS",
            ge=0,
        ),
    ] = 0
    recompute: Annotated[bool, opt("Keep the layers' inputs only, and compute the layers again.")] = False
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        opt("Of weights and products; bfloat16 keeps master weights in float32."),
    ] = "float32"


class SaveOptions(Options, frozen=True):
    """What is written on the way."""

    save_every: Annotated[int, opt("Steps between two checkpoints.", metavar="N", ge=1)] = 50
    keep: Annotated[int, opt("Checkpoints to keep.", metavar="N", ge=1)] = 2
    tensorboard: Annotated[bool, opt("Write the metrics to DIR/tensorboard too, as event files.")] = False


class TrainOptions(Options, frozen=True):
    """Everything that kat-train can be told."""

    objective: Annotated[ObjectiveName, opt("What is minimised.")] = "sft"
    model: Annotated[Path | None, opt("The model to start from: a transformers folder.", metavar="DIR")] = None
    optimizer: Optimizer = Optimizer()
    minimised: ObjectiveOptions = ObjectiveOptions()
    reference: Annotated[Path | None, opt("The policy that --kl-ref pulls to: a model folder.", metavar="DIR")] = None
    batch_packs: Annotated[int, opt("Packs a step, instead of the packs' own steps.", metavar="N", ge=0)] = 0
    compute: ComputeOptions = ComputeOptions()
    deepspeed: Annotated[
        Path | None,
        opt(
            "Share the model out over the launcher's processes by ZeRO, as DeepSpeed's JSON FILE says.", metavar="FILE"
        ),
    ] = None
    save: SaveOptions = SaveOptions()
    attention: Annotated[AttentionName, opt("Backend of tree attention.")] = "auto"


class InitOptions(Options, frozen=True):
    """`kat-train init`: the shape of a new model."""

    model_config: Annotated[
        Path | None, opt("JSON with fields of Qwen3Config, which win over sizes.", metavar="FILE")
    ] = None
    text: Annotated[
        tuple[Path, ...], opt("Train the tokenizer on this text; else take the one in KAT.", metavar="FILE")
    ] = ()
    vocab: Annotated[int, opt("Entries of a tokenizer trained with --text.", metavar="N", ge=1)] = 4096
    layers: Annotated[int, opt("Decoder layers.", metavar="N", ge=1)] = 2
    hidden: Annotated[int, opt("Hidden size.", metavar="N", ge=1)] = 128
    heads: Annotated[int, opt("Query heads.", metavar="N", ge=1)] = 4
    kv_heads: Annotated[int, opt("Key and value heads.", metavar="N", ge=1)] = 2
    context: Annotated[int, opt("Longest path.", metavar="TOKENS", ge=1)] = 8192

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise UsageError(f"{self.heads} heads cannot share {self.kv_heads} kv-heads")
        if self.hidden % (2 * self.heads):
            raise UsageError(f"hidden {self.hidden} does not divide into {self.heads} heads of an even size")
