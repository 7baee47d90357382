"""What was meant is found, whatever the words and the language: notes of an agent's days, asked for in other words.

`concepts.json` has the notes, each in English and in Chinese, with a question in both that has no word in common with
them; `distractors.json` has notes about other things, in both languages. A store has each concept once, in one
language, beside all the other things. `test_without_network.py` has the same without a network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from avm import AVM
from avm_builtin.search import text

HERE = Path(__file__).parent
FOUND_AMONG = 5
LEAST = 0.9
"""The share of the questions whose note is among the first five: of which at most three of 36 may miss."""
HEADING = re.compile(r"^\[(.+)\] \(\d\.\d\d\) ", re.MULTILINE)


class Concept(NamedTuple):
    """Something to be remembered and asked for."""

    name: str
    en_note: str
    zh_note: str
    en_query: str
    zh_query: str

    def note(self, language: str) -> str:
        return self.en_note if language == "en" else self.zh_note

    def query(self, language: str) -> str:
        return self.en_query if language == "en" else self.zh_query


CONCEPTS = [Concept(**each) for each in json.loads((HERE / "concepts.json").read_text("utf-8"))]
DISTRACTORS: dict[str, list[str]] = json.loads((HERE / "distractors.json").read_text("utf-8"))
DIRECTIONS = [("en", "en"), ("zh", "zh"), ("en", "zh"), ("zh", "en")]
"""The language of the question, and that of the note."""

Find = Callable[[AVM, str], Sequence[str]]


def by_meaning(avm: AVM, query: str) -> Sequence[str]:
    return [hit.path for hit in avm.search(query, FOUND_AMONG, "semantic")]


def by_both(avm: AVM, query: str) -> Sequence[str]:
    return [hit.path for hit in avm.search(query, FOUND_AMONG, "hybrid")]


def recalled(avm: AVM, query: str) -> Sequence[str]:
    return HEADING.findall(avm.recall(query))[:FOUND_AMONG]


DOORS = {"semantic": by_meaning, "hybrid": by_both, "recall": recalled}


def path_of(concept: Concept) -> str:
    """A path that says nothing of what the note says."""
    return f"/memory/shared/{CONCEPTS.index(concept):03}.md"


@pytest.fixture(scope="module")
def stores(onnx_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, AVM]]:
    """For each language a store: the concepts in it, and what else there is in both, as the models see them."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("XDG_CACHE_HOME", str(onnx_cache))
        patch.delenv("AVM_EMBEDDER")
        opened = {}
        for language in ("en", "zh"):
            avm = stack.enter_context(AVM(db=tmp_path_factory.mktemp(language) / "avm.db", agent="trader"))
            avm.write_many(notes_of(language))
            avm.session.embed()
            opened[language] = avm
        yield opened


def notes_of(language: str) -> list[tuple[str, str]]:
    """All notes of a store, in an order that puts none of them beside its like."""
    notes = [(path_of(each), each.note(language)) for each in CONCEPTS]
    others = [other for each in DISTRACTORS.values() for other in each]
    notes += [(f"/memory/shared/{number:03}.md", other) for number, other in enumerate(others, 500)]
    return sorted(notes, key=lambda note: sum(note[1].encode()) % 97)


# --- the data ------------------------------------------------------------------------------------


def words(of: str) -> set[str]:
    """English words by their stems, without those that only bind; Chinese pairs of characters."""
    return {
        token
        for token in text.tokens(of).split()
        if token not in text.STOP_WORDS and (token.isascii() or len(token) > 1)
    }


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda each: each.name)
def test_question_and_note_share_no_word(concept: Concept, language: str) -> None:
    for asked in ("en", "zh"):
        assert not words(concept.query(asked)) & words(concept.note(language))


def test_there_is_enough_of_everything() -> None:
    assert len({each.name for each in CONCEPTS}) == len(CONCEPTS) >= 32
    notes = [each.note(language) for each in CONCEPTS for language in ("en", "zh")]
    others = [each for language in ("en", "zh") for each in DISTRACTORS[language]]
    assert len(set(notes + others)) == len(notes + others)
    assert min(len(each) for each in DISTRACTORS.values()) >= 100


# --- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("asked,written", DIRECTIONS, ids=lambda each: str(each))
def test_notes_are_found_by_what_they_mean(
    stores: dict[str, AVM], asked: str, written: str, door: str
) -> None:
    missed = [
        each.name for each in CONCEPTS if path_of(each) not in DOORS[door](stores[written], each.query(asked))
    ]
    share = 1 - len(missed) / len(CONCEPTS)
    assert share >= LEAST, f"{share:.0%} were found; not: {', '.join(missed)}"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("query", ["伊朗军事冲突", "Iran conflict news"])
def test_the_example_of_the_description(stores: dict[str, AVM], query: str, door: str) -> None:
    wanted = next(each for each in CONCEPTS if each.zh_note == "中东局势紧张")
    assert path_of(wanted) in DOORS[door](stores["zh"], query)[:3]
