"""Runs inside a box: show a page in headless Chromium, scroll, hover, click, and write down what was seen.

Standard library only, since a box has nothing else; it speaks the DevTools protocol over Chromium's own pipe. In:
`python3 web_driver.py SETTINGS`, a JSON object with `browser`, `page` (under the working folder), `out`, `width`,
`height`, `screens`, `hovers`, `clicks`, `settle_s`. Out: `OUT/NAME.png` and `OUT/seen.json`. Nothing is judged here.
"""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import select
import subprocess
import sys
import threading
import time
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
  title: document.title, text: (document.body ? document.body.innerText : '').length,
  broken: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.getAttribute('src') || '')}))()"""


class Browser:
    """Chromium at the other end of two pipes: messages are JSON, each ended by a zero byte."""

    def __init__(self, browser: str, width: int, height: int) -> None:
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
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", timeout_s: float = 30.0, **params: Any) -> dict[str, Any]:
        """One command and its answer; events that come meanwhile are kept."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout_s
        while (found := self._read(deadline)) is not None:
            if found.get("id") == self._last:
                return found.get("result") or {"error": found.get("error")}
            self.events.append(found)
        raise TimeoutError(method)

    def wait(self, seconds: float, until: str = "") -> bool:
        """Collect events for so long, or until one of that name."""
        deadline = time.monotonic() + seconds
        while (found := self._read(deadline)) is not None:
            self.events.append(found)
            if until and found.get("method") == until:
                return True
        return False

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
    """The repository's files, on the box's own loopback."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Look at the page as the settings say."""
    settings = json.loads(sys.argv[1])
    handler = functools.partial(Quiet, directory=Path.cwd())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    out = Path(settings["out"])
    out.mkdir(parents=True, exist_ok=True)
    browser = Browser(settings["browser"], settings["width"], settings["height"])
    try:
        seen = look(browser, f"http://127.0.0.1:{server.server_port}/{settings['page']}", settings, out)
    finally:
        browser.process.kill()
    (out / "seen.json").write_text(json.dumps(seen))


def look(browser: Browser, url: str, settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Screens from top to bottom, then a hover and a click on each of the first controls."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    tab = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    size = {"width": settings["width"], "height": settings["height"]}
    for domain in ("Page", "Runtime", "Network", "Log"):
        browser.call(f"{domain}.enable", tab)
    browser.call("Emulation.setDeviceMetricsOverride", tab, **size, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", tab, url=url)
    loaded = browser.wait(20, "Page.loadEventFired")
    browser.wait(settings["settle_s"])
    page = evaluate(browser, tab, LOOK) or {}
    shots: list[dict[str, str]] = []

    def shoot(name: str, what: str) -> None:
        picture = browser.call("Page.captureScreenshot", tab, format="png")
        if "data" in picture:
            (out / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
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
            shoot(f"{verb}-{i + 1}", f"{verb} on {place['name']!r}")
            done["hovered" if verb == "hover" else "clicked"].append(place["name"])
    return {"loaded": loaded, "page": page, "shots": shots, **done, **problems(browser.events, url)}


def places(browser: Browser, tab: str, verb: str) -> list[dict[str, Any]]:
    """Controls in the order of the page; links that lead away are hovered and not clicked."""
    found = evaluate(browser, tab, PLACES) or []
    return [place for place in found if verb == "hover" or not place["out"]]


def aim(browser: Browser, tab: str, place: dict[str, Any], height: int) -> dict[str, float]:
    """Scroll a control into the middle of the window; where it is there."""
    evaluate(browser, tab, f"scrollTo({{top: {max(0, place['y'] - height / 2)}, behavior: 'instant'}})")
    top = evaluate(browser, tab, "scrollY") or 0
    return {"x": place["x"], "y": place["y"] - top}


def press(browser: Browser, tab: str, at: dict[str, float], verb: str) -> None:
    """Move the mouse there, and click when that is asked for."""
    browser.call("Input.dispatchMouseEvent", tab, type="mouseMoved", **at)
    if verb == "click":
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", tab, type=kind, button="left", clickCount=1, **at)


def evaluate(browser: Browser, tab: str, script: str) -> Any:
    """The script's value in the page, None when it threw."""
    answer = browser.call("Runtime.evaluate", tab, expression=script, returnByValue=True)
    return (answer.get("result") or {}).get("value")


def problems(events: list[dict[str, Any]], url: str) -> dict[str, Any]:
    """Errors on the console, and what could not be loaded."""
    asked: dict[str, str] = {}
    errors: list[str] = []
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
            errors.append(str(thrown).splitlines()[0][:300])
        elif method == "Runtime.consoleAPICalled" and params.get("type") == "error":
            errors.append(" ".join(str(arg.get("value", arg.get("description", ""))) for arg in params["args"])[:300])
    origin = url.rsplit("/", 1)[0] + "/"
    missing = [line.replace(origin, "") for line in missing if not line.endswith("/favicon.ico")]
    return {"errors": errors, "missing": missing}


if __name__ == "__main__":
    main()
