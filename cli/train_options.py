"""The options of kat-train by themselves: what they are called, and what they say in help and manual."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class ObjectiveName(StrEnum):
    """What is minimised."""

    sft = "sft"
    em_sft = "em-sft"
    tst = "tst"
    rft = "rft"
    grpo = "grpo"
    gspo = "gspo"
    opd = "opd"
    mixed = "mixed"


class Reducer(StrEnum):
    """How per-token losses become one number."""

    own = "own"
    token_mean = "token-mean"
    seq_mean_token_mean = "seq-mean-token-mean"
    turn_mean = "turn-mean"
    constant = "constant"


class Schedule(StrEnum):
    """The learning rate's course after the warm-up."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"
    wsd = "wsd"


class Attention(StrEnum):
    """Backends of tree attention."""

    auto = "auto"
    reference = "reference"
    segments = "segments"
    triton = "triton"
    flex = "flex"
    fa4 = "fa4"


class Dtype(StrEnum):
    """Of weights and products."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class SegmentName(StrEnum):
    """What one importance ratio spans."""

    own = "own"
    token = "token"
    turn = "turn"
    sequence = "sequence"


SEGMENTS: dict[SegmentName, Literal["token", "turn", "sequence"] | None] = {
    SegmentName.own: None,
    SegmentName.token: "token",
    SegmentName.turn: "turn",
    SegmentName.sequence: "sequence",
}


class TurnRatio(StrEnum):
    """How a turn's ratio is made of its tokens'."""

    mean = "mean"
    product = "product"


class OffPolicy(StrEnum):
    """How a token is weighed that another policy sampled."""

    none = "none"
    icepop = "icepop"
    tis = "tis"


class Estimator(StrEnum):
    """Estimators of the divergence from the reference policy."""

    k1 = "k1"
    k2 = "k2"
    k3 = "k3"


Model = Annotated[
    Path | None, typer.Option("--model", metavar="DIR", help="The model to start from: a transformers folder.")
]
Rate = Annotated[float, typer.Option("--lr", metavar="RATE", min=0, help="Learning rate of AdamW.")]
Epochs = Annotated[
    int, typer.Option("--epochs", metavar="N", min=0, help="Passes over the input; 0: until another limit.")
]
MaxSteps = Annotated[
    int, typer.Option("--max-steps", metavar="N", min=0, help="Stop after N optimiser steps; 0: no limit.")
]
PlateauText = Annotated[
    str,
    typer.Option(
        "--plateau",
        metavar="REL@STEPS",
        help="Stop when the mean loss of STEPS steps is less than REL (a fraction) below that of the STEPS before.",
    ),
]
ScheduleOption = Annotated[
    Schedule, typer.Option("--schedule", help="Learning rate after the warm-up; wsd stays and falls at the end.")
]
Warmup = Annotated[int, typer.Option("--warmup", metavar="N", min=0, help="Steps of linear warm-up.")]
WeightDecay = Annotated[float, typer.Option("--weight-decay", metavar="W", min=0, help="AdamW's decay.")]
GradClip = Annotated[
    float, typer.Option("--grad-clip", metavar="NORM", min=0, help="Largest gradient norm; 0: no limit.")
]
ReducerOption = Annotated[
    Reducer, typer.Option("--reducer", help="How tokens' losses are averaged over the step; own: as published.")
]
Constant = Annotated[
    int, typer.Option("--constant", metavar="TOKENS", min=1, help="What `--reducer constant` divides a sample by.")
]
ClipLow = Annotated[
    float | None,
    typer.Option("--clip-low", metavar="E", min=0, help="Ratios above 1 - E; by default what suits the ratio."),
]
ClipHigh = Annotated[float | None, typer.Option("--clip-high", metavar="E", min=0, help="Ratios below 1 + E.")]
NegativeWeight = Annotated[
    float, typer.Option("--negative-weight", metavar="W", min=0, help="Weight of negative advantages.")
]
SegmentOption = Annotated[
    SegmentName, typer.Option("--segment", help="What a ratio spans; own: a turn for gspo, else a token.")
]
TurnRatioOption = Annotated[
    TurnRatio, typer.Option("--turn-ratio", help="A turn's ratio: its tokens' geometric mean, or their product.")
]
OffPolicyOption = Annotated[
    OffPolicy, typer.Option("--off-policy", help="Weigh tokens by trainer over engine: drop outside, or truncate.")
]
IcepopLow = Annotated[float, typer.Option("--icepop-low", metavar="K", min=0, help="icepop: drop ratios below.")]
IcepopHigh = Annotated[float, typer.Option("--icepop-high", metavar="K", min=0, help="icepop: drop ratios above.")]
TisClip = Annotated[float, typer.Option("--tis-clip", metavar="K", min=0, help="tis: truncate ratios above.")]
MaxStaleness = Annotated[
    int | None, typer.Option("--max-staleness", metavar="N", min=0, help="Mask tokens of weights over N steps old.")
]
Reference = Annotated[
    Path | None, typer.Option("--reference", metavar="DIR", help="The policy that --kl-ref pulls to: a model folder.")
]
KlRef = Annotated[float, typer.Option("--kl-ref", metavar="W", min=0, help="Weight of leaving the reference policy.")]
KlEstimator = Annotated[Estimator, typer.Option("--kl-estimator", help="How the divergence is estimated.")]
OpdWeight = Annotated[
    float, typer.Option("--opd-weight", metavar="W", help="opd, mixed: weight of the teacher's stream.")
]
MixRl = Annotated[float, typer.Option("--mix-rl", metavar="W", help="mixed: weight of the policy gradient.")]
MixCe = Annotated[float, typer.Option("--mix-ce", metavar="W", help="mixed: weight of the supervised stream.")]
DifficultyWeight = Annotated[
    float, typer.Option("--difficulty-weight", metavar="L", min=0, help="How much more hard tasks' advantages count.")
]
EntropyWeight = Annotated[
    float, typer.Option("--entropy-weight", metavar="M", min=0, help="How much more uncertain samples' count.")
]
RouterLoss = Annotated[
    float,
    typer.Option("--router-loss", metavar="W", min=0, help="Weight of balancing experts' loads; supervised only."),
]
Passes = Annotated[
    int, typer.Option("--passes", metavar="K", min=1, help="Average log-probs over K passes that differ in numerics.")
]
Temperature = Annotated[
    float, typer.Option("--temperature", metavar="T", help="Temperature that the tokens were sampled at.")
]
Updates = Annotated[int, typer.Option("--updates", metavar="N", min=1, help="Optimiser steps on each step's packs.")]
BatchPacks = Annotated[
    int, typer.Option("--batch-packs", metavar="N", min=0, help="Packs a step, instead of the packs' own steps.")
]
Budget = Annotated[
    int,
    typer.Option(
        "--budget",
        metavar="TOKENS",
        min=0,
        help="Tokens whose activations are alive at once: larger rows go in parts; 0: whole rows.",
    ),
]
Recompute = Annotated[
    bool, typer.Option("--recompute", help="Keep the layers' inputs only, and compute the layers again.")
]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="Of weights and products; bfloat16 keeps master weights in float32.")
]
DeepSpeed = Annotated[
    Path | None,
    typer.Option(
        "--deepspeed",
        metavar="FILE",
        help="Share the model out over the launcher's processes by ZeRO, as DeepSpeed's JSON FILE says.",
    ),
]
SaveEvery = Annotated[int, typer.Option("--save-every", metavar="N", min=1, help="Steps between two checkpoints.")]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write the metrics to DIR/tensorboard too, as event files.")
]
Keep = Annotated[int, typer.Option("--keep", metavar="N", min=1, help="Checkpoints to keep.")]
AttentionOption = Annotated[Attention, typer.Option("--attention", help="Backend of tree attention.")]
