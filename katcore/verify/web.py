"""Verdicts on pages: shown in headless Chromium at 1920 x 1080 inside a box, scrolled, hovered, clicked, looked at.

In: a task whose `verification.rubric` may name the `page` (default index.html), a `kind` (`page` or `slides`, which
choose one of KAT's rubrics) or dimensions of its own; an attempt's patch. Out: a verdict. Code fidelity (the page
loads and shows something, no error on its console, nothing missing) is checked without a judge and gates the reward;
with a judge the screenshots are scored by the rubric, without one fidelity is the whole verdict. The page sees no
network but its files.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import PurePosixPath
from typing import Literal

import msgspec
from msgspec import Struct

from katcore.disk.in_box import program
from katcore.environment.built import box_spec
from katcore.environment.patch import BadPatch, apply_in_box
from katcore.environment.workspace import workspace
from katcore.errors import RecordError, SandboxError
from katcore.records import Json, Task, Trajectory, Verdict
from katcore.sandbox import PYTHON, Box, Limits, Sandbox
from katcore.verify.judge import Judge
from katcore.verify.rubric import Rubric, rubric_of, shipped

WIDTH, HEIGHT = 1920, 1080
BROWSERS = ("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome")
"""Names of Chromium, in order; Debian's program itself is first, as its wrapper script reads folders no box has."""
FONTS = b"<fontconfig><dir>/usr/share/fonts</dir><cachedir>/tmp/fonts</cachedir></fontconfig>"
OUT = "/tmp/web-out"
LAST_S = 30.0
"""Seconds of the page's time that are left to the browser's start and end."""
PENALTY = 0.1
"""The reward that each console error or missing file takes away."""


class Page(Struct, kw_only=True):
    """The part of a rubric that says what to look at."""

    page: str = "index.html"
    kind: Literal["page", "slides"] = "page"
    screens: int = 4
    hovers: int = 3
    clicks: int = 3
    timeout_s: float = 180.0


class Look(Struct, kw_only=True):
    """The browser's report on a page: whether it loaded, its errors, its screenshots."""

    loaded: bool
    blank: bool
    page: Json
    shots: list[dict[str, str]]
    hovered: list[str]
    clicked: list[str]
    errors: list[str]
    missing: list[str]


def verdict(task: Task, trajectory: Trajectory, boxes: Sandbox, judge: Judge | None) -> Verdict:
    """The verdict on a page (method.md § 2.8).

    Raises RecordError for a malformed rubric, SandboxError when box or browser fails, EngineError from the judge.
    """
    try:
        page = msgspec.convert(task.verification.rubric or {}, Page)
    except msgspec.ValidationError as error:
        raise RecordError("task", f"rubric: {error}") from error
    if not (trajectory.patch or "").strip():
        return Verdict(reason="no change", evidence={})
    rubric = rubric_of(task) if (task.verification.rubric or {}).get("dimensions") else _shipped(page)
    try:
        look, shots = rendered(task, trajectory.patch or "", page, boxes)
    except BadPatch as error:
        return Verdict(reason=f"the patch does not apply: {error}")
    if look is None:
        return Verdict(reason=f"there is no {page.page}")
    return _verdict(task, look, shots, judge, rubric)


def _shipped(page: Page) -> Rubric:
    return shipped("web_slides" if page.kind == "slides" else "web_page")


def rendered(task: Task, patch: str, page: Page, boxes: Sandbox) -> tuple[Look | None, dict[str, bytes]]:
    """What the browser saw, and its screenshots by name; None when there is no such page. BadPatch, SandboxError."""
    if PurePosixPath(page.page).is_absolute() or ".." in PurePosixPath(page.page).parts:
        raise RecordError("task", f"rubric: page {page.page!r} lies outside the repository")
    repo = workspace(task.source) if task.source.url else None
    limits = Limits(disk_mib=2048)
    box = boxes.create(box_spec(f"web-{task.instance_id}", task.environment, repo, boxes, limits=limits))
    try:
        apply_in_box(box, patch)
        if box.exec(["test", "-f", page.page]).code != 0:
            return None, {}
        look = _look(box, page)
        return look, {shot["what"]: box.get(f"{OUT}/{shot['file']}") for shot in look.shots}
    finally:
        box.close()


def _look(box: Box, page: Page) -> Look:
    box.put("/tmp/web_driver.py", _driver())
    box.put("/tmp/fonts.conf", FONTS)
    settings = {
        "browser": _browser(box), "page": page.page, "out": OUT, "width": WIDTH, "height": HEIGHT,
        "screens": page.screens, "hovers": page.hovers, "clicks": page.clicks, "settle_s": 0.6,
        "seconds": max(1.0, page.timeout_s - LAST_S),
    }  # fmt: skip
    env = {
        "HOME": "/tmp",
        "FONTCONFIG_FILE": "/tmp/fonts.conf",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
    }
    command = [PYTHON, "-I", "/tmp/web_driver.py", json.dumps(settings)]
    done = box.exec(command, env=env, timeout_s=page.timeout_s)
    try:
        return msgspec.json.decode(box.get(f"{OUT}/seen.json"), type=Look)
    except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError) as error:
        said = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise SandboxError(f"the browser ended with {done.code}: {said or error}") from error


def _driver() -> bytes:
    return program("katcore.verify", "web_driver").encode()


def _browser(box: Box) -> str:
    for name in BROWSERS:
        done = box.exec(["/bin/sh", "-c", f"command -v {name}"], env={"PATH": "/usr/local/bin:/usr/bin:/bin"})
        if done.code == 0:
            return done.stdout.decode().strip()
    here = (
        "it is on this machine, and not in the box" if any(map(shutil.which, BROWSERS)) else "apt-get install chromium"
    )
    raise SandboxError("there is no Chromium in the box", hint=here)


def _verdict(task: Task, look: Look, shots: dict[str, bytes], judge: Judge | None, rubric: Rubric) -> Verdict:
    wrong = [f"console: {text}" for text in look.errors] + [f"missing: {text}" for text in look.missing]
    wrong += [f"broken image: {name}" for name in look.page.get("broken") or []]
    if not look.loaded or not shots:
        wrong.insert(0, "the page does not load")
    elif look.blank:
        wrong.insert(0, "the page is blank")
    fidelity = 0.0 if not look.loaded or look.blank else max(0.0, round(1 - PENALTY * len(wrong), 6))
    seen: Json = {"problems": wrong[:50], "page": look.page, "hovered": look.hovered, "clicked": look.clicked}
    if judge is None:
        reason = "passed" if not wrong else wrong[0]
        return Verdict(reward=fidelity, passed=not wrong, parts={"fidelity": fidelity}, reason=reason, evidence=seen)
    images: list[Json] = [
        part
        for what, png in shots.items()
        for part in (
            {"type": "text", "text": f"Screenshot, {what}:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(png).decode()}},
        )
    ]
    work = f"A page, shown in the screenshots above ({len(shots)}). Title: {look.page.get('title', '')}\n"
    work += f"Controls that were pointed at: {look.hovered}; clicked: {look.clicked}"
    out = judge.judged(task.problem_statement, work, rubric, images)
    if out.masked:
        return out
    out.parts = {**out.parts, "fidelity": fidelity, "judge": out.reward}
    out.reward = round(out.reward * fidelity, 6)
    out.passed = out.reward >= rubric.passes
    out.evidence = {**out.evidence, **seen}
    return out
