"""The extractive summariser passes the suite, and takes sentences as they are."""

from __future__ import annotations

import pytest

from avm_builtin.memory.consolidation.extractive import ExtractiveSummariser
from avm_builtin.memory.sentences import sentences
from vfs_core.plugins import Registry
from vfs_core.summarising import Summariser
from vfs_core.testing import SummariserTests


class TestExtractiveSummariser(SummariserTests):
    @pytest.fixture
    def summariser(self) -> Summariser:
        summariser: Summariser = Registry().load("summariser", "extractive")()
        return summariser


def test_every_sentence_stands_in_its_source() -> None:
    texts = [
        "The pump failed twice. We replaced the seal.",
        "The pump failed again on Monday. Nobody noticed.",
    ]
    for each in ExtractiveSummariser().summarise(texts, 90):
        assert each.source is not None and each.text in texts[each.source]


def test_what_most_notes_speak_of_comes_first() -> None:
    others = ("Soup for lunch.", "Rain all day.", "Anna is back.", "No parking left.", "Keys were found.")
    texts = [f"{other} The pump failed on day {n}." for n, other in enumerate(others)]
    made = ExtractiveSummariser().summarise(texts, 30)
    assert [each.text for each in made] == ["The pump failed on day 0."]


def test_a_heading_is_taken_only_where_there_is_nothing_else() -> None:
    texts = ["# Pumps\n\nOne failed.", "# Pumps", "## Pumps\n\nTwo failed."]
    made = ExtractiveSummariser().summarise(texts, 1000)
    assert [(each.text, each.source) for each in made] == [
        ("One failed.", 0),
        ("Pumps", 1),
        ("Two failed.", 2),
    ]


def test_sentences_end_as_they_do_in_english_and_chinese() -> None:
    text = (
        "# 标题\n\n央行加息了。市场下跌！他说：“等等。”然后呢？\n"
        "- Rates rose. Down -5% today!\n1. First\n-5% is a number\n---\n"
    )
    assert sentences(text) == [
        "标题", "央行加息了。", "市场下跌！", "他说：“等等。”", "然后呢？",
        "Rates rose.", "Down -5% today!", "First", "-5% is a number",
    ]  # fmt: skip


def test_a_long_note_is_cut_and_control_characters_are_shown() -> None:
    assert sentences("a" * 1000)[0] == "a" * 399 + "…"
    assert sentences("one\u2028two \x1b[31m") == ["one", "two \\u001b[31m"]
