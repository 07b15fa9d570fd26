"""The drawing of a trie: what is chosen from a stream, what tokens weigh in it, and that it is sound XML."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from katcore.errors import InputError, RecordError
from katcore.pack_trie import show as drawing
from katcore.pack_trie.group import Member
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.show.captions import common, without
from katcore.pack_trie.show.layout import lay_out
from katcore.pack_trie.show.picture import CONTEXT, SAMPLED, TRAINED, UNTRAINED, Picture, of_group, of_pack, text_of
from katcore.pack_trie.show.svg import colours_of, segments
from katcore.pack_trie.show.text import columns, cut, escape, number
from katcore.pack_trie.stream import items
from katcore.pack_trie.tree import TokenTree
from katcore.records import Node, Pack, ToolCall, Trajectory
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node, token_trees

show = partial(drawing.show, rows=48)
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert(1)</script><!-- ]]> & "q" \' \x00\x1b[31m \u202egnp.exe \ufffe\t\nx'


def said(role: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"message": {"role": role, "content": text, **fields}}


def group(rewards: Sequence[float | None] = (1.0, 0.0, 0.0), name: str = "g", text: str = "look") -> list[Trajectory]:
    """Samples that share a prompt of 6 and then go three ways, the second and third with a first word in common."""
    tails = [[10, 11, 12, 13], [20, 21, 22], [20, 31]]
    found = []
    for i, (reward, tail) in enumerate(zip(rewards, tails)):
        nodes = [
            node(0, None, [1, 2, 3], **said("system", text)),
            node(1, 0, [4, 5, 6], **said("user", text)),
            node(2, 1, [7, *tail], [(1, 1 + len(tail))], **said("assistant", f"{text} {i}")),
        ]
        found.append(attempt(nodes, i, group=name, size=len(rewards), reward=reward))
    return found


def members(trajectories: Sequence[Trajectory]) -> list[Member]:
    return [Member(t, TokenTree.of(t), line) for t, line in zip(trajectories, lines(*trajectories))]


def packs_of(trajectories: Sequence[Trajectory], settings: PackOptions) -> list[Pack]:
    return [item.payload for item in items(lines(*trajectories), settings) if isinstance(item.payload, Pack)]


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(SVG + tag))


def texts(svg: str) -> str:
    return "\n".join("".join(e.itertext()) for e in elements(svg, "text"))


# -------------------------------------------------------------------------------------- choosing


def test_draws_the_group_with_most_samples_or_the_one_that_is_named() -> None:
    stream = [*group((1.0, 0.0), "a"), *group((1.0, 0.0, 0.0), "b"), *group((1.0, 0.0), "c")]
    random.Random(0).shuffle(stream)
    assert "task-b · x" in texts(show(lines(*stream)))
    assert "task-c · x" in texts(show(lines(*stream), group="c"))


def test_an_incomplete_group_is_drawn_at_the_end_of_the_stream() -> None:
    assert "2 samples" in texts(show(lines(*group()[:2])))


@pytest.mark.parametrize(
    ("stream", "choice", "message"),
    [
        ([], {}, "no trajectories with sampled tokens and no packs"),
        (group(), {"group": "z"}, "no group z"),
        (group(), {"pack": "z"}, "no pack z"),
        ([attempt([node(0, None, [1])])], {}, "no trajectories with sampled tokens"),
        (
            group((None, None, None)),
            {"settings": pack_options(objective="grpo")},
            "line 1: trajectory g0 has no verdict",
        ),
    ],
)
def test_a_stream_without_it_is_bad_input(stream: list[Trajectory], choice: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        show(lines(*stream), **choice)
    assert caught.value.code == 4


def test_trajectories_without_tokens_are_told_of() -> None:
    broken = attempt([Node(id=0, role="user")], 3)
    told: list[str] = []
    assert "3 samples" in texts(show(lines(*group(), broken), warn=told.append))
    assert told == ["1 trajectories have no exact tokens and are not drawn"]


def test_packs_are_drawn_by_name_and_by_group() -> None:
    two = [*group((1.0, 0.0), "a"), *group((1.0, 0.0, 0.0), "b")]
    (pack,) = packs_of(two, pack_options(objective="grpo", groups_per_step=0))
    drawn = texts(show(lines(pack)))
    assert (
        f"pack {pack.id} · 2 groups" in drawn and f"{pack.stats.unique:,} unique of {pack.stats.flat:,} flat" in drawn
    )
    assert "3 samples" in texts(show(lines(pack), pack=pack.id, group="b"))
    with pytest.raises(InputError):
        show(lines(pack), group="z")


def test_a_pack_that_contradicts_itself_is_refused() -> None:
    for field, value in (("term_token", 99), ("term_sample", 7), ("parent", 5), ("end", 0), ("depth", 3)):
        (pack,) = packs_of(group(), pack_options(objective="grpo"))
        getattr(pack, field)[0] = value
        with pytest.raises(InputError, match="do not fit"):
            show(lines(pack))


# --------------------------------------------------------------------------------------- weights


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(token_trees(), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=5), st.booleans())
def test_a_group_and_the_pack_made_of_it_look_alike(samples: list[tuple[list[Node], float]], by_branch: bool) -> None:
    settings = pack_options(objective="grpo", baseline="trie" if by_branch else "group")
    trajectories = []
    for i, (nodes, reward) in enumerate(samples):
        trajectory = attempt(nodes, i, size=len(samples), reward=reward)
        try:
            if len(TokenTree.of(trajectory).sampled):
                trajectories.append(trajectory)
        except RecordError:
            continue
    made = packs_of(trajectories, settings)
    if not made:
        return
    drawn, packed = of_group(members(trajectories), settings), of_pack(made[0])
    assert packed is not None
    assert (drawn.trie.tokens == packed.trie.tokens).all() and (drawn.trie.parent == packed.trie.parent).all()
    assert drawn.weight == pytest.approx(packed.weight, abs=1e-5)
    assert drawn.state.tolist() == packed.state.tolist()
    assert drawn.flat == packed.flat == made[0].stats.flat
    assert drawn.turn_starts.tolist() == packed.turn_starts.tolist()
    inner = {(e.token, e.sample) for e in drawn.ends} - {(e.token, e.sample) for e in packed.ends}
    for token, sample in inner:  # a pack does not say that one of a sample's paths is the beginning of another
        assert ((packed.through[sample] > token) & (packed.through[sample] < packed.trie.end[token])).any()
    assert {(e.token, e.sample) for e in packed.ends} <= {(e.token, e.sample) for e in drawn.ends}
    assert [t.tolist() for t in drawn.through] == [t.tolist() for t in packed.through]


def naive_weights(pack: Pack) -> dict[int, float]:
    """Token → mean of advantage · rl + ce + kl over its terms."""
    found: dict[int, list[float]] = {}
    table = zip(pack.term_token, pack.term_sample, pack.rl_weight, pack.ce_weight, pack.kl_weight)
    for token, sample, rl, ce, kl in table:
        advantage = pack.samples[sample].advantage
        found.setdefault(token, []).append(rl * (1.0 if advantage is None else advantage) + ce + kl)
    return {token: sum(weights) / len(weights) for token, weights in found.items()}


@pytest.mark.parametrize(
    "settings",
    [pack_options(objective="grpo"), pack_options(objective="grpo", baseline="trie"), pack_options(objective="sft")],
)
def test_weights_are_the_means_of_the_terms(settings: PackOptions) -> None:
    (pack,) = packs_of(group((1.0, 0.0, 1.0)), settings)
    picture = of_pack(pack)
    assert picture is not None
    expected = naive_weights(pack)
    for token in range(len(pack.tokens)):
        assert picture.weight[token] == pytest.approx(expected.get(token, 0.0), abs=1e-6)
        assert (picture.state[token] == TRAINED) == (token in expected)


def test_with_the_trie_baseline_only_forks_are_coloured() -> None:
    picture = of_group(members(group()), pack_options(objective="grpo", baseline="trie"))
    coloured = [i for i, colour in enumerate(colours_of(picture)) if colour[0] in "pn"]
    assert picture.trie.tokens[coloured].tolist() == [10, 20]
    assert picture.weight[coloured[0]] > 0 > picture.weight[coloured[1]]


def test_without_an_objective_tokens_are_sampled_or_context() -> None:
    picture = of_group(members(group()))
    by_token = dict(zip(picture.trie.tokens.tolist(), picture.state.tolist()))
    assert {t for t, state in by_token.items() if state == SAMPLED} == {10, 11, 12, 13, 20, 21, 22, 31}
    assert set(by_token.values()) == {SAMPLED, CONTEXT}


def test_what_is_turned_away_masked_or_failed_is_drawn_untrained() -> None:
    trajectories = group((1.0, 0.0, 1.0))
    trajectories[0].nodes[2].tool_calls = [ToolCall(name="bash", span=(2, 4), outcome="tool_error")]
    assert trajectories[2].verdict is not None
    trajectories[2].verdict.masked = True
    picture = of_group(members(trajectories), pack_options(objective="em-sft"))
    by_token = dict(zip(picture.trie.tokens.tolist(), picture.state.tolist()))
    assert {t for t, state in by_token.items() if state == TRAINED} == {10, 13}
    assert {t for t, state in by_token.items() if state == UNTRAINED} == {11, 12, 20, 21, 22, 31}
    svg = show(lines(*trajectories), settings=pack_options(objective="em-sft"))
    assert 'class="u"' in svg and "1 turned away" in texts(svg) and "#2 masked" in texts(svg)


def test_weights_stand_at_the_right_tokens_when_an_earlier_sample_is_not_packed() -> None:
    trajectories = group((0.0, 1.0, 0.0))
    assert trajectories[0].verdict is not None
    trajectories[0].verdict.masked = True
    picture = of_group(members(trajectories), pack_options(objective="grpo"))
    by_token = dict(zip(picture.trie.tokens.tolist(), picture.weight.tolist()))
    assert by_token[21] == pytest.approx(1, abs=1e-4) and by_token[31] == pytest.approx(-1, abs=1e-4)
    assert by_token[20] == pytest.approx(0, abs=1e-6) and by_token[11] == 0 and picture.samples[0].advantage is None


def test_lone_weights_are_wide_enough_to_see_and_the_strongest_wins() -> None:
    picture = of_group(members([attempt([node(0, None, [1]), node(1, 0, list(range(5000)), True)], 0)]))
    layout = lay_out(picture, 10)
    branch = layout.branches[0]
    colours = ["z"] * len(picture.trie)
    colours[1000], colours[1003], colours[4000] = "p1", "n4", "p2"
    wide, sparks = segments(layout, branch, colours)
    assert [colour for *_, colour in sparks] == ["n4", "p2"] and all(b - a == 8 for a, b, _ in sparks)
    assert (wide[0][0], wide[-1][1]) == (branch.x0, branch.x1)


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["c", "z", "p1", "n4"]), min_size=1, max_size=3000))
def test_segments_cover_a_branch_without_gaps(colours: list[str]) -> None:
    tokens = list(range(len(colours) - 1))
    picture = of_group(members([attempt([node(0, None, [1]), node(1, 0, [*tokens, 1], True)], 0)]))
    layout = lay_out(picture, 10)
    wide, _ = segments(layout, layout.branches[0], [*colours, "c"])
    assert all(b == pytest.approx(c) for (_, b, _), (c, _, _) in pairwise(wide))
    assert len(wide) <= 700 and all(b > a for a, b, _ in wide)


# ------------------------------------------------------------------------------------------- svg


def sound(svg: str) -> ElementTree.Element:
    """Valid XML of few kinds of elements, with no way out of the document."""
    root = ElementTree.fromstring(svg)
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds <= {"svg", "style", "defs", "pattern", "rect", "path", "g", "title", "text", "circle"}
    for element in root.iter():
        assert not any(name.startswith("on") or "href" in name for name in element.attrib)
    assert svg.count("<style>") == 1 and "url(#hatch)" in svg and svg.count("url(") == 1 and "@import" not in svg
    return root


@pytest.mark.parametrize(
    "settings",
    [
        None,
        pack_options(objective="grpo"),
        pack_options(objective="grpo", baseline="trie"),
        pack_options(objective="sft"),
    ],
)
def test_hostile_text_stays_text(settings: PackOptions | None) -> None:
    trajectories = group(text=HOSTILE)
    for trajectory in trajectories:
        trajectory.task_id = trajectory.model = trajectory.scaffold.name = HOSTILE
        trajectory.nodes[1].role = trajectory.nodes[1].lineage = HOSTILE
    svg = show(lines(*trajectories), settings=settings)
    sound(svg)
    titles = ["".join(e.itertext()) for e in elements(svg, "title")]
    assert any("</title><script>alert(1)</script>" in title for title in titles), "it is there, as text"
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ufffe]", svg)


@pytest.mark.parametrize(
    "message",
    [
        None, [], "text", 3, {"content": 7}, {"content": [1, {"text": None}, {"text": "a"}]}, {"tool_calls": {"a": 1}},
        {"tool_calls": [1, {"function": 2}, {"function": {"name": [], "arguments": "{"}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": "[" * 100_000}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": {"a": [1], "b": "c"}}}]},
    ],
)  # fmt: skip
def test_a_message_of_any_shape_is_taken(message: Any) -> None:
    assert isinstance(text_of(Node(id=0, role="x", message=message)), str)


def test_a_tool_call_reads_as_name_and_values() -> None:
    call = {"function": {"name": "bash", "arguments": '{"command": "ls -l", "timeout": 3}'}}
    about = Node(id=0, role="assistant", message={"content": "Look.", "tool_calls": [call]})
    assert text_of(about) == "Look.\nbash ls -l 3" and text_of(about, named=False) == "Look.\nls -l 3"


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.text(), st.integers(0, 30))
def test_any_text_is_cut_and_escaped_to_sound_xml(text: str, most: int) -> None:
    assert columns(cut(text, most)) <= most
    element = ElementTree.fromstring(f'<t a="{escape(text)}">{escape(text)}</t>')
    assert element.text is None or element.attrib["a"] == element.text
    assert escape(cut("plain words", 50)) == "plain words"


def test_boundaries_turns_and_side_branches_are_marked() -> None:
    nodes = [
        node(0, None, [1, 2, 3], **said("system", "You are")),
        node(1, 0, [4, 5], True, **said("assistant", "first")),
        node(2, 0, [4, 9], boundary="compaction", lineage="compaction-1", **said("user", "summary")),
        node(3, 2, [10, 11], True, lineage="compaction-1", **said("assistant", "second")),
        node(4, None, [], boundary="subagent", lineage="subagent-2", **said("system", "search")),
        node(5, 4, [50, 51], lineage="subagent-2", **said("user", "find")),
        node(6, 5, [52], True, lineage="subagent-2", **said("assistant", "found")),
    ]
    trajectory = attempt(nodes, 0, size=1)
    picture = of_group(members([trajectory]))
    where = {kind: int(picture.trie.tokens[token]) for token, kind in picture.boundaries}
    assert where == {"compaction": 9, "subagent": 50}, "at the fork inside the message; past messages without tokens"
    assert picture.trie.tokens[picture.turn_starts].tolist() == [4, 10, 52]
    assert [(end.lineage, end.final) for end in picture.ends] == [
        ("main", False), ("compaction-1", True), ("subagent-2", False)
    ]  # fmt: skip
    svg = show(lines(trajectory))
    sound(svg)
    titles = ["".join(e.itertext()) for e in elements(svg, "title")]
    assert {"compaction", "subagent"} <= set(titles) and "#0 subagent-2" in texts(svg)


def test_tooltips_tell_tokens_samples_and_messages() -> None:
    titles = ["".join(e.itertext()) for e in elements(show(lines(*group())), "title")]
    trunk = next(title for title in titles if title.startswith("tokens 0 to 6 (7)"))
    assert "3 of 3 samples: #0, #1, #2" in trunk and "user, turn 0, 3 tokens: look" in trunk


def test_the_header_counts_what_is_shared() -> None:
    drawn = texts(show(lines(*group())))
    assert "15 unique of 30 flat tokens · POR 0.500 · 1/(1−POR) = 2.00×" in drawn and "3 samples, 1 passed" in drawn


def test_the_same_whatever_the_order_of_arrival() -> None:
    trajectories = group()
    first = show(lines(*trajectories), settings=pack_options(objective="grpo"))
    assert first == show(lines(*trajectories[::-1]), settings=pack_options(objective="grpo"))


def big_group(samples: int, tokens: int) -> list[Trajectory]:
    """Samples that go on from places of earlier ones, of about so many unique tokens in all."""
    rng = random.Random(3)
    each = tokens // samples
    paths: list[list[list[int]]] = []
    for _ in range(samples):
        kept = rng.choice(paths) if paths else [[rng.randrange(50_000) for _ in range(3000)]]
        path = kept[: rng.randrange(1, len(kept) + 1)]
        for _ in range(4):
            path = [*path, [rng.randrange(50_000) for _ in range(each // 4)]]
        paths.append(path)
    found = []
    for i, path in enumerate(paths):
        nodes = [node(k, k - 1 if k else None, t, k % 2 == 1, **said("tool", f"{k} text")) for k, t in enumerate(path)]
        found.append(attempt(nodes, i, size=samples, reward=float(rng.random() < 0.3)))
    return found


@pytest.mark.parametrize("rows", [48, 500])
def test_a_large_trie_is_a_small_document(rows: int) -> None:
    trajectories = big_group(500, 100_000)
    svg = show(lines(*trajectories), settings=pack_options(objective="grpo"), rows=rows)
    root = sound(svg)
    assert len(svg.encode()) < 1_000_000
    assert float(root.attrib["height"]) < 150 + 21 * rows
    if rows == 48:
        assert re.search(r"\+\d+ more", texts(svg)) and len(svg.encode()) < 200_000


def boxes(svg: str) -> list[tuple[float, float, float, str]]:
    """(left, right, baseline, text) of the captions, in the widest of the fonts asked for."""
    found = []
    for e in elements(svg, "text"):
        if "cap" in e.attrib.get("class", ""):
            x, wide = float(e.attrib["x"]), 5.8 * columns(e.text or "")
            left = x - wide if " e" in e.attrib["class"] else x
            found.append((left, left + wide, float(e.attrib["y"]), e.text or ""))
    return found


@pytest.mark.parametrize("baseline", ["trie", "group"])
def test_captions_do_not_meet(baseline: Any) -> None:
    trajectories = big_group(14, 4000)
    for trajectory in trajectories:
        for n in trajectory.nodes:
            n.message = {"content": f"words to read, as many as there is room for {n.token_ids}"}
    found = boxes(show(lines(*trajectories), settings=pack_options(objective="grpo", baseline=baseline)))
    assert len(found) > 10
    for i, (a, b, y, one) in enumerate(found):
        for c, d, z, other in found[:i]:
            assert b <= c + 0.5 or d <= a + 0.5 or abs(y - z) >= 10, (one, other)
    assert all(b <= 716 for _, b, _, _ in found)


def test_captions_leave_out_what_siblings_share() -> None:
    texts_ = ["git apply --unidiff-zero <<'EOF' --- a/src/one.py", "git apply --unidiff-zero <<'EOF' --- a/src/two.py"]
    shared = common(texts_)
    assert [without(text, shared) for text in texts_] == ["git apply …one.py", "git apply …two.py"]
    assert without(texts_[0], shared, 12) == "…one.py"
    assert without("short one", 5) == "short one" and common(["same", "same"]) == 4


def test_numbers_are_short() -> None:
    assert [number(v) for v in (1.0, -0.04, 1234.56, 0.25)] == ["1", "0", "1234.6", "0.2"]


def test_a_picture_of_masked_samples_alone() -> None:
    trajectories = group((0.0, 0.0, 0.0))
    for trajectory in trajectories:
        assert trajectory.verdict is not None
        trajectory.verdict.masked = True
    picture: Picture = of_group(members(trajectories), pack_options(objective="grpo"))
    assert not np.any(picture.weight) and TRAINED not in picture.state
    sound(show(lines(*trajectories), settings=pack_options(objective="grpo")))
