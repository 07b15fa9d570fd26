"""Runs inside a box: show a page in headless Chromium, scroll, hover, click, and write down what was seen.

Python 3.8 or later, standard library alone; it speaks the DevTools protocol over Chromium's own pipe. In:
`python3 web_driver.py SETTINGS`, a JSON object with `browser`, `page` (under the working folder), `out`, `width`,
`height`, `screens`, `hovers`, `clicks`, `settle_s`, `seconds`. Out: `OUT/NAME.png` and `OUT/seen.json`. The page may
be hostile: it is asked in a world that its scripts cannot reach, and one that stops the browser is told from a browser
that fails. Nothing is judged here.
"""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--no-zygote", "--disable-gpu", "--hide-scrollbars", "--mute-audio",
    "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--font-render-hinting=none",
    "--user-data-dir=/tmp/web-profile", "--remote-debugging-pipe",
)  # fmt: skip
CLICKABLE = "button, a[href], [role=button], [onclick], input[type=submit], input[type=checkbox], summary"
PLACES = f"""(() => [...document.querySelectorAll({json.dumps(CLICKABLE)})].map(e => {{
  const r = e.getBoundingClientRect();
  const out = e.tagName === 'A' && /^(https?:|mailto:)/.test(e.getAttribute('href') || '');
  return {{x: r.x + r.width / 2, y: r.y + r.height / 2 + scrollY, w: r.width, h: r.height, out,
           name: (e.innerText || e.getAttribute('aria-label') || e.tagName).trim().slice(0, 60)}};
}}).filter(e => e.w > 4 && e.h > 4))()"""
LOOK = """(() => ({height: document.documentElement.scrollHeight, width: document.documentElement.scrollWidth,
  title: document.title.slice(0, 200), text: (document.body ? document.body.innerText : '').length,
  broken: [...document.images].filter(i => i.complete && !i.naturalWidth).slice(0, 50)
    .map(i => (i.getAttribute('src') || '').slice(0, 200))}))()"""
WORLD, REPORT = "kat", "katError"
WATCH = f"""(() => {{
  const report = window.{REPORT}, error = console.error;
  delete window.{REPORT};
  addEventListener('error', event => {{ if (event.message) report(String(event.message)); }}, true);
  Object.defineProperty(console, 'error', {{get: () => error, set: () => {{}}}});
}})()"""
"""The script that runs before the page's own, so that errors are counted even if the page silences them."""
MOST = 200
"""The most errors, and the most missing files, that are reported one by one."""


class Browser:
    """Chromium at the other end of two pipes: messages are JSON, each ended by a zero byte.

    It has `seconds` for all that is asked of it. Dialogs are answered with yes: a page waits for them.
    """

    def __init__(self, browser: str, width: int, height: int, seconds: float) -> None:
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        # the browser wants its ends as descriptors 3 and 4: a shell moves them there
        line = f'exec "$@" 3<&{read_there} 4>&{write_there}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", line, "bash", browser, *FLAGS, f"--window-size={width},{height}", "about:blank"],
            pass_fds=(read_there, write_there),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )
        os.close(read_there)
        os.close(write_there)
        self._in, self._out, self._rest = read_here, write_here, b""
        self._last = 0
        self._end = time.monotonic() + seconds
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", timeout_s: float = 30.0, **params: Any) -> dict[str, Any]:
        """One command and its answer; events that come meanwhile are kept. TimeoutError, ConnectionError."""
        number = self._send(method, session, **params)
        deadline = min(time.monotonic() + timeout_s, max(self._end, time.monotonic() + 1))
        while (found := self._read(deadline)) is not None:
            if found.get("id") == number:
                return found.get("result") or {"error": found.get("error")}
            self._keep(found)
        raise TimeoutError(method)

    def wait(self, seconds: float, until: str = "") -> bool:
        """Collect events for so long, or until one of that name."""
        deadline = time.monotonic() + seconds
        while (found := self._read(deadline)) is not None:
            self._keep(found)
            if until and found.get("method") == until:
                return True
        return False

    def _send(self, method: str, session: str, **params: Any) -> int:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._last

    def _keep(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Page.javascriptDialogOpening":
            self._send("Page.handleJavaScriptDialog", event.get("sessionId", ""), accept=True)
        self.events.append(event)

    def _read(self, deadline: float) -> dict[str, Any] | None:
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                return None
            data = os.read(self._in, 1 << 20)
            if not data:
                raise ConnectionError(f"the browser ended with {self.process.wait()}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    """An HTTP handler that serves the repository's files on the box's loopback and logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Look at the page as the settings in the first argument say; write seen.json and the screenshots to `out`."""
    settings = json.loads(sys.argv[1])
    handler = functools.partial(Quiet, directory=Path.cwd())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    out = Path(settings["out"])
    out.mkdir(parents=True, exist_ok=True)
    browser = Browser(settings["browser"], settings["width"], settings["height"], settings["seconds"])
    url = f"http://127.0.0.1:{server.server_port}/{settings['page']}"
    try:
        tab = opened(browser, settings)
        try:
            seen = look(browser, tab, url, settings, out)
        except TimeoutError as error:
            browser.call("Target.getTargets")  # a browser that answers this was stopped by the page
            seen = stopped(browser, url, f"the page keeps the browser from answering ({error})")
        except ConnectionError as error:
            seen = stopped(browser, url, f"the page ends the browser ({error})")
    finally:
        browser.process.kill()
    (out / "seen.json").write_text(json.dumps(seen))


def opened(browser: Browser, settings: dict[str, Any]) -> str:
    """The session id of a tab that is ready to show a page; what fails here is not the page's fault."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    tab: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    size = {"width": settings["width"], "height": settings["height"]}
    for domain in ("Page", "Runtime", "Network", "Log"):
        browser.call(f"{domain}.enable", tab)
    browser.call("Runtime.addBinding", tab, name=REPORT)
    browser.call("Page.addScriptToEvaluateOnNewDocument", tab, source=WATCH)
    browser.call("Emulation.setDeviceMetricsOverride", tab, **size, deviceScaleFactor=1, mobile=False)
    return tab


def stopped(browser: Browser, url: str, why: str) -> dict[str, Any]:
    """The result for a page that cannot be looked at, with the reason `why`."""
    found = problems(browser.events, url)
    nothing: dict[str, Any] = {"loaded": False, "blank": True, "page": {}, "shots": [], "hovered": [], "clicked": []}
    return {**nothing, **found, "errors": [why, *found["errors"]]}


def look(browser: Browser, tab: str, url: str, settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Take screenshots from top to bottom, then hover over and click each of the first controls; what was seen."""
    size = {"width": settings["width"], "height": settings["height"]}
    browser.call("Page.navigate", tab, url=url)
    loaded = browser.wait(20, "Page.loadEventFired")
    browser.wait(settings["settle_s"])
    page = evaluate(browser, tab, LOOK) or {}
    shots: list[dict[str, str]] = []
    plain: list[bool] = []

    def shoot(name: str, what: str) -> None:
        picture = browser.call("Page.captureScreenshot", tab, format="png")
        if "data" in picture:
            png = base64.b64decode(picture["data"])
            (out / f"{name}.png").write_bytes(png)
            plain.append(uniform(png))
            shots.append({"file": f"{name}.png", "what": what})

    height = max(1, int(page.get("height", 0)))
    screens = min(settings["screens"], -(-height // size["height"]))
    for i in range(screens):
        evaluate(browser, tab, f"scrollTo({{top: {i * size['height']}, behavior: 'instant'}})")
        browser.wait(settings["settle_s"] / 2)
        shoot(f"screen-{i + 1}", f"scrolled by {i * size['height']} of {height} pixels")
    done: dict[str, list[str]] = {"hovered": [], "clicked": []}
    for verb, most in (("hover", settings["hovers"]), ("click", settings["clicks"])):
        for i, place in enumerate(places(browser, tab, verb)[:most]):
            at = aim(browser, tab, place, size["height"])
            press(browser, tab, at, verb)
            browser.wait(settings["settle_s"] / 2)
            shoot(f"{verb}-{i + 1}", f"{verb} on a control, number {i + 1}")
            done["hovered" if verb == "hover" else "clicked"].append(place["name"])
    if not shots:  # refused each time, since the page was on its way to the next
        return stopped(browser, url, "the page keeps the browser from answering (no picture)")
    found = problems(browser.events, url)
    return {"loaded": loaded, "blank": all(plain), "page": page, "shots": shots, **done, **found}


def uniform(png: bytes) -> bool:
    """Whether a picture has one colour: its rows are then the same pixel repeated, or, filtered, zeros."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    raw, pixel = zlib.decompress(data), {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    line = len(raw) // height
    rows = {raw[i : i + line] for i in range(0, len(raw), line)}
    return len(rows) <= 3 and all(row[1:] == row[1 : 1 + pixel] * width or not any(row[1 + pixel :]) for row in rows)


def places(browser: Browser, tab: str, verb: str) -> list[dict[str, Any]]:
    """Controls in the order of the page; links that lead away are hovered and not clicked."""
    found = evaluate(browser, tab, PLACES) or []
    return [place for place in found if verb == "hover" or not place["out"]]


def aim(browser: Browser, tab: str, place: dict[str, Any], height: int) -> dict[str, float]:
    """Scroll a control into the middle of the window; returns its place there, x and y in pixels."""
    evaluate(browser, tab, f"scrollTo({{top: {max(0, place['y'] - height / 2)}, behavior: 'instant'}})")
    top = evaluate(browser, tab, "scrollY") or 0
    return {"x": place["x"], "y": place["y"] - top}


def press(browser: Browser, tab: str, at: dict[str, float], verb: str) -> None:
    """Move the mouse to a place in the window, and click when the verb says so."""
    browser.call("Input.dispatchMouseEvent", tab, type="mouseMoved", **at)
    if verb == "click":
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", tab, type=kind, button="left", clickCount=1, **at)


def evaluate(browser: Browser, tab: str, script: str) -> Any:
    """The script's value in a world of its own, where the page has changed nothing; None when it threw."""
    frame = browser.call("Page.getFrameTree", tab).get("frameTree", {}).get("frame", {}).get("id", "")
    world = browser.call("Page.createIsolatedWorld", tab, frameId=frame, worldName=WORLD).get("executionContextId")
    if world is None:  # the page is going away
        return None
    answer = browser.call("Runtime.evaluate", tab, expression=script, returnByValue=True, contextId=world)
    return (answer.get("result") or {}).get("value")


def problems(events: list[dict[str, Any]], url: str) -> dict[str, Any]:
    """Errors on the console, and what could not be loaded."""
    asked: dict[str, str] = {}
    errors: list[str] = []
    silenced: list[str] = []
    missing: list[str] = []
    for event in events:
        method, params = event.get("method", ""), event.get("params") or {}
        if method == "Network.requestWillBeSent":
            asked[params["requestId"]] = params["request"]["url"]
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            missing.append(f"{params['response']['status']} {params['response']['url']}")
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            missing.append(f"{params.get('errorText', 'failed')} {asked.get(params['requestId'], '')}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            thrown = (details.get("exception") or {}).get("description") or details.get("text", "")
            errors.append((str(thrown).splitlines() or [""])[0][:300])
        elif method == "Runtime.bindingCalled" and params.get("name") == REPORT:
            silenced.append(str(params.get("payload"))[:300])
        elif method == "Runtime.consoleAPICalled" and params.get("type") == "error":
            errors.append(" ".join(str(arg.get("value", arg.get("description", ""))) for arg in params["args"])[:300])
    origin = url.rsplit("/", 1)[0] + "/"
    missing = [line.replace(origin, "") for line in missing if not line.endswith("/favicon.ico")]
    errors += [text for text in silenced if not any(error in text or text in error for error in errors)]
    return {"errors": errors[:MOST], "missing": missing[:MOST]}


if __name__ == "__main__":
    main()
