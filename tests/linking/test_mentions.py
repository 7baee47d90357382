"""What a text mentions is read from any text, in linear time, and never from code."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm_builtin.linking.mentions import MOST, Mention, mentions


def names(text: str) -> list[str]:
    return [each.text for each in mentions(text) if each.by_name]


def paths(text: str) -> list[str]:
    return [each.text for each in mentions(text) if not each.by_name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [[Risk]]", ["Risk"]),
        ("[[ Risk rules |the rules]] and [[b#part]], ![[c]]", ["Risk rules", "b", "c"]),
        ("[[projects/avm|AVM]] [[/memory/x.md]] [[@k3f]]", ["projects/avm", "/memory/x.md", "@k3f"]),
        ("[[a]] [[a]] [[b]]", ["a", "b"]),
        ("[[]] [[ ]] [[|x]] [[#part]] [[a\nb]] [[a", []),
        ("[[https://example.org]] [[mailto:a@b]]", []),
        ("风险见[[风险管理]]。", ["风险管理"]),
        (r"\[[not]] and [[yes]]", ["yes"]),
    ],
)
def test_names_in_brackets(text, expected):
    assert names(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](y.md) [x](./y.md) [x](../z.md#part)", ["y.md", "./y.md", "../z.md"]),
        ("[x](<with space.md> 'title') [x](with%20space.md \"t\")", ["with space.md"]),
        ("[x](a(b).md) ![x](pic.png)", ["a(b).md", "pic.png"]),
        ("[x](/memory/a.md?v=1) [x](avm:///memory/b.md)", ["/memory/a.md", "/memory/b.md"]),
        ("[x](https://a.b/c.md) [x](//a.b/c) [x](#part) [x](mailto:a@b.c) [x]()", []),
        ("[x](not a link.md)", []),
        ("text [ref] here\n\n[ref]: other.md 'title'\n[^1]: note.md", ["other.md"]),
        ("[x](a%00b)", []),
    ],
)
def test_markdown_links(text, expected):
    assert paths(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "`[[a]]` ``x ` [[a]]`` `[x](a.md)`",
        "```\n[[a]]\n```",
        "~~~ python\n[[a]]\n```\n[[a]]\n~~~",
        "````md\n```\n[[a]]\n```\n[[a]]\n````",
        "text\n```\n[[a]] and no end",
        "`code\nover lines [[a]]`",
    ],
)
def test_code_mentions_nothing(text):
    assert mentions(text) == []


@pytest.mark.parametrize(
    "text", ["` [[a]]", "```x``` [[a]]", "`` ` [[a]]", "`one\n\ntwo [[a]]`", "~~~\ncode\n~~~\n[[a]]"]
)
def test_backticks_that_enclose_nothing_hide_nothing(text):
    assert names(text) == ["a"]


def test_so_many_count():
    assert len(mentions(" ".join(f"[[n{each}]]" for each in range(MOST + 50)))) == MOST


@given(st.text(alphabet=st.sampled_from("[]()`~|#\\<>\"' \n:/.@^%ab"), max_size=200) | st.text(max_size=200))
def test_any_text_can_be_read(text):
    for each in mentions(text):
        assert each.text == each.text.strip()
        assert each.text
        assert "\0" not in each.text or each.by_name
    assert len(set(mentions(text))) == len(mentions(text))


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_characters="[]|#\n`\\:/"), min_size=1)
        .map(str.strip)
        .filter(bool)
    )
)
def test_what_is_in_brackets_is_found(texts):
    assert names("\n\n".join(f"[[{each}]]" for each in texts)) == list(dict.fromkeys(texts))


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[[",
        "](",
        "`",
        "[[a",
        "](<",
        "](a(",
        "``` ",
        "`a``",
        "[a]: ",
        "\\",
        '](a "',
        "[[a|",
        "\n```\n",
        "](a 'b",
    ],
)
def test_time_is_linear(piece):
    def seconds(count: int) -> float:
        text = piece * count
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            mentions(text)
            best = min(best, time.process_time() - start)
        return best

    small = seconds(4_000)
    assert seconds(32_000) < 8 * small * 4 + 0.05  # quadratic would be 64 times, and it is given half of that


def test_a_mention_is_a_name_or_a_path():
    assert mentions("[[a]] [x](a)") == [Mention("a", True), Mention("a", False)]
