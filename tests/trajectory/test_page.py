"""The page of `kat-rollout view`: what is in it, and what Chromium makes of it."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from katcore.errors import InputError, RecordError
from katcore.model.folder import load
from katcore.records import Trajectory, encode
from katcore.trajectory.page import page
from tests.support.attempts import Grower, attempt, branched, calls, linear, result, said

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><!--"


class Parts(html.parser.HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.scripts += [""] if tag == "script" else []

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def hostile() -> Trajectory:
    grown = Grower()
    at = grown.add(None, said("user", HOSTILE), lineage=HOSTILE)
    at = grown.add(at, calls("ls", text=HOSTILE, reasoning_content=HOSTILE), lineage=HOSTILE)
    grown.nodes[at].message["tool_calls"][0]["function"] = {"name": HOSTILE, "arguments": HOSTILE}  # type: ignore[index]
    grown.nodes[at].message["tool_calls"] += [None, 7, "x"]  # type: ignore[index]
    grown.add(at, result("c1", HOSTILE), lineage=HOSTILE)
    return attempt(grown, id=HOSTILE, task_id=HOSTILE, model=HOSTILE)


def test_the_records_stand_in_the_page_and_nothing_is_fetched() -> None:
    made = page([linear(), replace(branched(), id="t2")])
    found = Parts(made)
    blocks = [json.loads(text) for text in found.scripts[:-1]]
    assert blocks[0] == json.loads(encode(linear())) and blocks[1]["id"] == "t2"
    assert not any({"src", "href"} & attributes.keys() for _, attributes in found.tags)
    assert "default-src 'none'" in made and not re.search(r"https?://", made)


def test_hostile_text_is_neither_markup_nor_a_way_out_of_its_block() -> None:
    plain, taken = Parts(page([linear()])), Parts(page([hostile()]))
    assert [tag for tag, _ in taken.tags] == [tag for tag, _ in plain.tags]
    assert json.loads(taken.scripts[0])["nodes"][0]["message"]["content"] == HOSTILE
    name = next(attributes["data-name"] for _, attributes in taken.tags if "data-name" in attributes)
    assert name is not None and name.startswith(HOSTILE)


def test_places_of_the_page_in_a_record_are_text() -> None:
    grown = Grower()
    grown.add(None, said("user", "{{script}} {{data}} {{style}}"))
    made = Parts(page([attempt(grown)]))
    assert json.loads(made.scripts[0])["nodes"][0]["message"]["content"] == "{{script}} {{data}} {{style}}"


def test_tokens_are_text_where_the_tokenizer_is_known() -> None:
    chat = load()
    whole = linear(tokenizer=chat.digest)
    whole.nodes[0].token_ids = chat.encode("Fix the bug")
    pieces = json.loads(Parts(page([whole])).scripts[-2])
    assert "".join(pieces[str(token)] for token in whole.nodes[0].token_ids) == "Fix the bug"
    assert json.loads(Parts(page([linear()])).scripts[-2]) == {}
    with pytest.raises(InputError, match="are not those of"):
        page([linear()], chat.folder)


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    broken = linear()
    broken.nodes[3].parent = 99
    with pytest.raises(RecordError):
        page([broken])
    (tmp_path / "t.jsonl").write_bytes(encode(broken) + b"\n")
    done = subprocess.run(["kat-rollout", "view", tmp_path / "t.jsonl"], capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "parent 99" in done.stderr and not done.stdout


# ------------------------------------------------------------------ in the browser


def dom(text: str, tmp_path: Path, address: str = "") -> str:
    """The document that headless Chromium has after the page's script ran."""
    assert CHROMIUM, "these tests need Chromium (Debian: apt-get install chromium)"
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,800", "--virtual-time-budget=3000",
            "--dump-dom", f"file://{path}{address}",
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def drawn(document: str) -> tuple[str, str]:
    """The tree and the chosen message of a drawn page, as markup."""
    body = document[: document.index('<script type="application/json"')]
    tree, _, detail = body.partition('<section id="detail"')
    return tree, detail


def thousands() -> Trajectory:
    """5,000 calls in a row, and a fork at each hundredth."""
    grown = Grower()
    at = grown.add(None, said("user", "go"))
    for n in range(5000):
        new = grown.add(at, said("assistant", f"answer {n}"))
        at = grown.add(new, said("user", f"and {n}"))
        if n % 100 == 0:
            grown.add(at, said("assistant", "aside"), lineage=f"branch-{n}")
    return attempt(grown, id="long")


@pytest.mark.slow
def test_chromium_draws_the_tree_and_the_chosen_message(tmp_path: Path) -> None:
    tree, detail = drawn(dom(page([linear(), replace(branched(), id="t2")]), tmp_path, "#0/2"))
    assert tree.count('role="treeitem"') == 8
    assert len(re.findall("<option", tree)) == 2 and "reward 1" in tree and "agent 2.0 s" in tree
    assert "Hm." in detail and "Let me look." in detail and "Calls bash c1" in detail
    assert detail.count('class="tok said"') == 4 and detail.count('class="tok"') == 1
    assert "token 21 · sampled · log-prob -0.1250 · p 0.8825 · step-1" in detail
    assert "finish" in detail and "tool_calls" in detail


@pytest.mark.slow
def test_chromium_runs_nothing_of_a_hostile_record(tmp_path: Path) -> None:
    document = dom(page([hostile()]), tmp_path, "#0/1")
    tree, detail = drawn(document)
    assert "<title>Trajectories</title>" in document
    assert "<img" not in document and document.count("<script") == 3
    assert "&lt;/script&gt;" in tree and detail.count("&lt;img") >= 4


@pytest.mark.slow
def test_chromium_draws_of_thousands_of_calls_those_that_are_seen(tmp_path: Path) -> None:
    whole = thousands()
    tree, detail = drawn(dom(page([linear(), whole]), tmp_path, "#1/9000"))
    assert 20 < tree.count('role="treeitem"') < 100
    places = [int(place) for place in re.findall(r'data-place="(\d+)"', tree)]
    assert places == list(range(places[0], places[-1] + 1)) and 9000 in places
    assert "5050 calls" in tree and "Node " in detail


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    source, out = tmp_path / "t.jsonl", tmp_path / "page.html"
    source.write_bytes(encode(linear()) + b"\n" + encode(replace(linear(), id="t2")) + b"\n")
    command: list[Any] = ["kat-rollout", "view", source, "-o", out, "--limit", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "first 1 trajectories" in done.stderr
    assert len(Parts(out.read_text()).scripts) == 3
