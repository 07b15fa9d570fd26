"""Tasks that rules verify, answers to them, and what each of IFEval's constraints takes and refuses."""

from __future__ import annotations

from typing import Any

from katcore.records import Node, Scaffold, Task, TaskSource, Trajectory, Verification


def task(*rule: dict[str, Any], answer: str | None = None) -> Task:
    rubric = {"rules": list(rule)} if rule else None
    return Task(
        instance_id="r",
        repo="r",
        base_commit="0" * 40,
        created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline"),
        verification=Verification(kind="rules", rubric=rubric, answer=answer),
    )


def said(text: str) -> Trajectory:
    node = Node(id=0, role="assistant", message={"role": "assistant", "content": text}, sampled=[(0, 1)])
    return Trajectory(id="a", task_id="r", group_id="r", scaffold=Scaffold(name="s"), model="m", nodes=[node])


ENGLISH = "The cat is in the house and it was not for you."


FOLLOWED: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["Cat", "dog"]}, "a cat, a dog", "a cat"),
    ("keywords:frequency", {"keyword": "ha", "frequency": 3, "relation": "at least"}, "ha Ha hah", "ha ha"),
    ("keywords:frequency", {"keyword": "ha", "frequency": 2, "relation": "less than"}, "ha", "ha ha"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "concatenate", "a Cat!"),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "at least"}, "eE", "e"),
    ("language:response_language", {"language": "de"}, "Das ist nicht der Hund und die Katze", ENGLISH),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "One. Two!", "Mr. One."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "one two", "one two three"),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "well"}, "a\n\n\"Well, b", "a\n\nso well"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] and [b]", "[a]"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "x\nP. P. S. y", "x\nP.S. y"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x\nP.S. y", "x"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n* b\n* c"),
    ("detectable_format:constrained_response", {}, "Well. My answer is maybe.", "maybe"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and * *"),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     "Section 1 a\nSection 2 b", "Section 1 a"),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<A title>>\ntext", "<< >>\ntext"),
    ("combination:two_responses", {}, "one\n******\ntwo", "same\n******\nsame"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, "say it\nit", "it, say it"),
    ("startend:end_checker", {"end_phrase": "That is all."}, 'So. "That is all."', "That is all. Bye"),
    ("startend:quotation", {}, '"all of it"', '"half" of it'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "AB CD e", "AB c"),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH.lower(), ENGLISH),
    ("punctuation:no_comma", {}, "a b", "a, b"),
]  # fmt: skip
