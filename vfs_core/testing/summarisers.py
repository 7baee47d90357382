"""The conformance suite of the summariser contract (`vfs_core.summarising`): override `summariser`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import pytest

from vfs_core.summarising import Sentence, Summariser
from vfs_core.testing.store_contents import in_threads

TEXTS = (
    "The central bank raised its rates. Markets fell on Wednesday.",
    "# Rates\n\n- The bank raised rates again.\n- Analysts expect a pause.",
    "央行加息了。市场下跌！分析师预计会暂停？",
    "word " * 5000,
    "",
    " \n\t",
    "\0\u202e😀",
)


class SummariserTests:
    """Short enough, from texts that there are, and the same for the same texts."""

    @pytest.fixture
    def summariser(self) -> Summariser:
        """An instance."""
        raise NotImplementedError("override the fixture `summariser`")

    @pytest.mark.parametrize("budget", [1, 40, 200, 2000])
    def test_it_stays_within_its_budget(self, summariser: Summariser, budget: int) -> None:
        made = summariser.summarise(TEXTS, budget)
        assert sum(len(each.text) for each in made) <= budget

    def test_it_says_which_text_a_sentence_is_of(self, summariser: Summariser) -> None:
        made = summariser.summarise(TEXTS, 2000)
        assert made
        for each in made:
            assert isinstance(each, Sentence)
            assert each.text.strip()
            assert each.source is None or 0 <= each.source < len(TEXTS)

    @pytest.mark.parametrize("texts", [(), ("",), (" \n", "\t")])
    def test_of_nothing_it_says_nothing(self, summariser: Summariser, texts: tuple[str, ...]) -> None:
        assert list(summariser.summarise(texts, 1000)) == []

    def test_it_says_the_same_again(self, summariser: Summariser) -> None:
        first = list(summariser.summarise(TEXTS, 300))
        summariser.summarise(TEXTS[:1], 300)
        assert list(summariser.summarise(TEXTS, 300)) == first

    def test_several_threads_summarise_at_once(self, summariser: Summariser) -> None:
        expected = list(summariser.summarise(TEXTS, 300))

        def again(number: int) -> None:
            assert list(summariser.summarise(TEXTS, 300)) == expected

        in_threads(4, again)
