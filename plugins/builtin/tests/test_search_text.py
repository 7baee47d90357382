"""The analyser: what is written is found, any text is a query, a snippet stays on its line."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm_builtin.search.text import MAX_TERMS, MAX_TOKEN, Term, snippet, terms, tokens

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)
MIXED = st.lists(
    st.sampled_from(
        ["running", "risk_report", "userName", "局势紧张", "局", "カタカナ", "café", "हिन्दी", " ", "*", '"']
    )
).map("".join)


def finds(query: str, text: str) -> bool:
    indexed = tokens(text).split()
    return any(
        any(token.startswith(term.text) for token in indexed) if term.prefix else term.text in indexed
        for term in terms(query)
    )


# --- what finds what -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("run", "She was running."),
        ("running", "He runs."),
        ("RUNNING", "run"),
        ("overb*", "the market is overbought"),
        ("runn*", "running"),
        ("Runn*", "RUNNING"),
        ("局势", "中东局势紧张"),
        ("紧张", "中东局势紧张"),
        ("局势紧张", "中东局势紧张"),
        ("局", "中东局势紧张"),
        ("张", "中东局势紧张"),
        ("中*", "中东局势紧张"),
        ("伊朗军事冲突", "伊朗的冲突"),
        ("ひらがな", "これはひらがなです"),
        ("カタカナ", "ｶﾀｶﾅ"),
        ("한국", "한국어를"),
        ("ไทย", "ภาษาไทย"),
        ("cafe", "Café"),
        ("café", "CAFE"),
        ("naïve", "nai\u0308ve"),
        ("ＦＵＬＬ", "full"),
        ("Straße", "STRASSE"),
        ("report", "risk_report.md"),
        ("risk_report", "risk_report.md"),
        ("risk_rep*", "risk_report.md"),
        ("name", "getUserName()"),
        ("getusername", "getUserName()"),
        ("HTTP", "parseHTTPResponse"),
        ("init", "def __init__(self)"),
        ("हिन्दी", "यह हिन्दी है"),
        ("ёлка", "елка"),
        ("شَمس", "شمس"),
        ("3", "version 3.14"),
        ("深度learning", "machine learning"),
    ],
)
def test_a_query_finds_a_text(query: str, text: str) -> None:
    assert finds(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("runn", "running"),
        ("势局", "中东局势紧张"),
        ("हिन्दू", "हिन्दी"),
        ("bought*", "overbought"),
        ("cat", "dog"),
    ],
)
def test_a_query_does_not_find_a_text(query: str, text: str) -> None:
    assert not finds(query, text)


# --- queries -------------------------------------------------------------------------------------


def test_question_words_are_dropped_from_a_query_and_not_from_the_index() -> None:
    assert terms("What is the plan for the market?") == (Term("plan"), Term("market"))
    assert "what" in tokens("What is the plan?").split()


def test_a_query_of_question_words_alone_keeps_them() -> None:
    assert terms("what is it") == (Term("what"), Term("is"), Term("it"))


@pytest.mark.parametrize(
    ("query", "looked_for"),
    [
        ("会议是什么时候开的", "会议 议是 时候 候开 开的"),
        ("谁决定了为何推迟?", "谁决 决定 定了 推迟"),
        ("什么", "什么"),
        ("什么鱼", "什么 么鱼 鱼*"),
        ("吗", "吗*"),
        ("鱼", "鱼*"),
    ],
)
def test_chinese_question_words_part_what_stands_around_them(query: str, looked_for: str) -> None:
    assert " ".join(term.text + "*" * term.prefix for term in terms(query)) == looked_for


def test_a_prefix_is_no_question_word() -> None:
    assert terms("it* plan") == (Term("it", prefix=True), Term("plan"))


@pytest.mark.parametrize("query", ["", " ", '"', "*", "-", "___", "…", "\0", "\ud800", "!?()[]{}^~:", "🐙"])
def test_a_query_without_a_word_looks_for_nothing(query: str) -> None:
    assert terms(query) == ()


@pytest.mark.parametrize(
    "query", ["risk AND reward", "risk NOT reward", '"risk reward"', "-risk +reward", "risk/reward"]
)
def test_operators_of_other_engines_are_words_or_nothing(query: str) -> None:
    assert set(terms(query)) == {Term("risk"), Term("reward")}


def test_terms_are_distinct_and_capped() -> None:
    assert terms("market markets MARKET") == (Term("market"),)
    assert len(terms(" ".join(f"w{n}" for n in range(1000)))) == MAX_TERMS
    assert len(terms("".join(chr(0x4E00 + n) for n in range(1000)))) == MAX_TERMS


def test_a_long_query_is_no_longer_than_its_cap() -> None:
    assert Term("late") not in terms("noise " * 20_000 + "late")


@given(ANY_TEXT | MIXED)
def test_any_text_is_a_query_of_clean_terms(text: str) -> None:
    for term in terms(text):
        assert term.text
        assert not set(term.text) & set(' "*\0\n')


@given(ANY_TEXT | MIXED)
def test_a_token_survives_a_tokenizer_that_splits_at_ascii(text: str) -> None:
    for token in tokens(text).split():
        assert 0 < len(token) <= MAX_TOKEN
        assert all(not character.isascii() or character.isalnum() or character == "_" for character in token)
        assert token == token.lower() or not token.isascii()


@given(MIXED.filter(lambda text: bool(terms(text))))
def test_a_text_is_found_by_itself(text: str) -> None:
    assert finds(text, text)


def test_an_endless_word_is_cut_alike_in_text_and_query() -> None:
    assert finds("a" * 5000, "a" * 5000)
    assert finds("a" * 5000 + "*", "a" * 5000)


def test_every_thread_has_a_stemmer_of_its_own() -> None:
    words = [f"running{chr(97 + n % 26)}{chr(97 + n // 26)}ing" for n in range(300)]
    expected = [tokens(word) for word in words]
    wrong: list[str] = []

    def analyse() -> None:
        from avm_builtin.search import text

        text._spelled.cache_clear()
        wrong.extend(word for word, right in zip(words, expected, strict=True) if tokens(word) != right)

    threads = [threading.Thread(target=analyse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- snippets ------------------------------------------------------------------------------------


def test_a_short_text_is_its_own_snippet() -> None:
    assert snippet("two\n\n  lines\tand\x1b more", "lines") == "two lines and more"


def test_a_snippet_is_around_the_densest_group() -> None:
    text = "risk " + "filler " * 100 + "where risk meets reward today " + "filler " * 100 + "reward"
    assert "risk meets reward" in snippet(text, "risk reward", 60)


def test_a_snippet_shows_what_was_cut() -> None:
    middle = snippet("filler " * 100 + "needle " + "filler " * 100, "needle", 40)
    assert middle.startswith("…")
    assert middle.endswith("…")
    assert snippet("needle " + "filler " * 100, "needle", 40).startswith("needle")
    assert snippet("filler " * 100 + "needle", "needle", 40).endswith("needle")


def test_a_snippet_finds_inflected_words_prefixes_and_folded_ones() -> None:
    filler = "filler " * 100
    assert "running" in snippet(f"{filler}running {filler}", "runs", 40)
    assert "overbought" in snippet(f"{filler}overbought {filler}", "overb*", 40)
    assert "Café" in snippet(f"{filler}Café {filler}", "cafe", 40)


def test_a_snippet_works_without_spaces() -> None:
    text = "油价上涨，" * 100 + "伊朗的军事冲突，" + "油价上涨，" * 100
    assert "军事冲突" in snippet(text, "伊朗军事冲突", 20)
    assert "冲" in snippet(text, "冲", 20)


def test_without_a_hit_the_beginning_is_the_snippet() -> None:
    assert snippet("alpha beta " * 50, "gamma", 12) == "alpha beta…"
    assert snippet("alpha beta " * 50, "", 12) == "alpha beta…"


@given(ANY_TEXT | MIXED.map(lambda text: text * 20), ANY_TEXT | MIXED, st.integers(-1, 80))
def test_a_snippet_is_one_line_of_at_most_its_width(text: str, query: str, width: int) -> None:
    made = snippet(text, query, width)
    assert len(made) <= max(width, 0)
    assert not set(made) & set("\n\r\t\x0b\x0c\x1b\x85\u2028\u2029\0")


@given(
    st.lists(st.sampled_from(["filler", "局势紧张", "needle", "、", " "]), max_size=60), st.integers(20, 60)
)
def test_a_snippet_has_the_hit_that_the_text_has(pieces: list[str], width: int) -> None:
    text = " ".join(pieces)
    if "needle" in pieces:
        assert "needle" in snippet(text, "needle", width)
