"""Trajectories as one HTML page that needs nothing else: no network, no server.

In: kat.trajectory records and, where their tokens shall be read as text, the model that they were sampled with. Out: a
document. Records stand in it as JSON that its script draws lazily: the rows of the tree that are seen, and the message
that is chosen. Records are other people's text: it is never markup, and the page's policy runs no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from katcore.errors import InputError
from katcore.records import Trajectory, encode
from katcore.trajectory.paths import Paths

if TYPE_CHECKING:
    from katcore.model.folder import ChatModel


def page(trajectories: Iterable[Trajectory], model: Path | None = None) -> str:
    """The HTML page. RecordError where nodes are no tree; InputError when `model` has another tokenizer than they."""
    data: list[str] = []
    pieces: dict[int, str] = {}
    for trajectory in trajectories:
        _ = Paths(trajectory).depth_first  # refuses what the script could not draw
        _add_pieces(pieces, trajectory, model)
        verdict = trajectory.verdict
        told = "" if verdict is None else f", reward {verdict.reward:g}"
        name = html.escape(f"{trajectory.task_id}: {trajectory.id} ({trajectory.scaffold.name}{told})")
        data.append(_block(f'class="trajectory" data-name="{name}"', encode(trajectory).decode()))
    data.append(_block('id="pieces"', json.dumps(pieces)))
    style, script = _asset("view.css"), _asset("view.js")
    parts = {
        "{{script_hash}}": _hash(script),
        "{{style_hash}}": _hash(style),
        "{{style}}": style,
        "{{data}}": "\n".join(data),
        "{{script}}": script,
    }
    return _filled(_asset("view.html"), parts)


def _filled(frame: str, parts: dict[str, str]) -> str:
    """The frame with each place filled by its part; parts are not searched for places themselves."""
    made = []
    for place, text in parts.items():
        before, _, frame = frame.partition(place)
        made += [before, text]
    return "".join([*made, frame])


def _block(attributes: str, data: str) -> str:
    """JSON as a data block of HTML, escaped so that nothing in it can end the block or begin a comment."""
    for letter in "<>&\u2028\u2029":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    return f'<script type="application/json" {attributes}>{data}</script>'


def _add_pieces(pieces: dict[int, str], trajectory: Trajectory, model: Path | None) -> None:
    """Add to `pieces` the texts of this trajectory's tokens that are not there yet."""
    ids = {each for node in trajectory.nodes for each in node.token_ids or ()}
    if not ids or (chat := _model_of(trajectory, model)) is None:
        return
    pieces |= {each: chat.decode([each]) for each in sorted(ids - pieces.keys())}


def _model_of(trajectory: Trajectory, model: Path | None) -> ChatModel | None:
    """The given model, else KAT's small one if the tokens are its own; None: tokens are shown as numbers."""
    chat = _load(model)
    if trajectory.tokenizer == chat.digest:
        return chat
    if model is not None:
        raise InputError(f"{trajectory.id}: its tokens are not those of {model}", hint="leave --model out")
    return None


@cache
def _load(model: Path | None) -> ChatModel:
    from katcore.model.folder import load

    return load(model)


def _asset(name: str) -> str:
    return files("katcore.trajectory").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash by which a page's security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
