"""Whatever text comes in becomes one normal path with a suffix and a query, or is refused with its cause."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vfs_core.errors import Invalid, NameTooLong
from vfs_core.path import (
    NAME_MAX,
    PATH_MAX,
    Ref,
    compile_pattern,
    is_within,
    join,
    normalize,
    parse,
    private_space,
    space_of,
    split,
    split_suffix,
)

SUFFIXES = frozenset({"tags", "meta", "search", "x-y", "data"})

# Text of what paths are made of, so that dots, slashes and suffixes meet often.
PIECES = [
    *["/", "//", ".", "..", "/..", "/./", ":", ":tags", ":meta", "?", "x=1", "%2F"],
    *["private", "/private", "/shared", "/memory/private/", "局势", "\n", "\0", "\ud800"],
    *["a", "a" * 64, "名" * 63, "é" * 130],
]
pieces = st.sampled_from(PIECES)
texts = st.text() | st.lists(pieces, max_size=12).map("".join) | st.lists(pieces, max_size=12).map("/".join)


def is_normal(path: str) -> bool:
    """The definition, spelled out: what everything below the door relies on."""
    if path == "/":
        return True
    names = path.split("/")[1:]
    return path.startswith("/") and all(
        name not in ("", ".", "..") and "\0" not in name and len(name.encode()) <= NAME_MAX for name in names
    )


def walked(text: str) -> str:
    """The oracle: go through the components as a shell in an empty tree would."""
    here: list[str] = []
    for name in text.split("/"):
        if name == "..":
            here = here[:-1]
        elif name not in ("", "."):
            here = [*here, name]
    return "/" + "/".join(here)


# --- normal paths --------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(texts)
@example("/" + "a" * 255)
@example("/" + "a" * 256)
@example("/" + "名" * 86)
def test_any_text_is_a_normal_path_or_is_refused(text: str):
    try:
        path = normalize(text)
    except NameTooLong:
        assert any(len(name.encode()) > NAME_MAX for name in text.split("/")) or len(text.encode()) > PATH_MAX
    except Invalid as refusal:
        unfit = not text.startswith("/") or "\0" in text or not text.isascii()
        assert unfit, f"{text!r} is fit to be a path, and was refused: {refusal}"
        assert not re.search("[\ud800-\udfff]", str(refusal)), "the refusal cannot be printed"
    else:
        assert is_normal(path)
        assert path == walked(text)
        assert normalize(path) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", "/"),
        ("//a///b/", "/a/b"),
        ("/a/./b/.", "/a/b"),
        ("/a/../../../b", "/b"),
        ("/a/..", "/"),
        ("/...", "/..."),
        ("/a/..b/.c", "/a/..b/.c"),
        ("/局势/紧张.md", "/局势/紧张.md"),
        ("/e\u0301", "/e\u0301"),
        ("/line\nbreak", "/line\nbreak"),
        ("/ spaces ", "/ spaces "),
        ("/back\\slash", "/back\\slash"),
    ],
)
def test_paths_are_cleaned_and_otherwise_kept_as_given(text: str, path: str):
    assert normalize(text) == path


@pytest.mark.parametrize("text", ["", "a", "a/b", "./a", "~", "C:\\x", " /a"])
def test_a_relative_path_is_refused_and_the_error_says_what_would_be_right(text: str):
    with pytest.raises(Invalid, match="not an absolute path; AVM paths start with '/'"):
        normalize(text)


@pytest.mark.parametrize(("text", "why"), [("/a\0b", "NUL"), ("/a\ud800", "not valid UTF-8")])
def test_what_no_filesystem_can_store_is_refused(text: str, why: str):
    with pytest.raises(Invalid, match=why):
        normalize(text)


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127 + "a", "名" * 85, "🐙" * 63 + "abc"])
def test_a_name_may_have_255_bytes_and_no_more(name: str):
    assert len(name.encode()) == NAME_MAX
    assert normalize(f"/{name}") == f"/{name}"
    with pytest.raises(NameTooLong, match="255 bytes"):
        normalize(f"/x/{name}b")
    with pytest.raises(NameTooLong):
        normalize(f"/{name}b/..")


def test_a_path_may_have_4096_bytes_and_no_more():
    longest = "/" + "名/" * 1000
    longest += "d" * 95
    assert len(longest.encode()) == PATH_MAX
    assert normalize(longest) == longest
    with pytest.raises(NameTooLong, match="4096 bytes"):
        normalize(longest + "e")


@given(texts)
def test_splitting_and_joining_are_inverse_and_parents_are_above(text: str):
    try:
        path = normalize(text)
    except Invalid:
        return
    parent, name = split(path)
    assert is_normal(parent)
    if path != "/":
        assert join(parent, name) == path
        assert is_within(path, parent)
        assert not is_within(parent, path)
        assert is_within(path, "/")


def test_within_is_about_components_not_characters():
    assert is_within("/a/b", "/a")
    assert is_within("/a", "/a")
    assert not is_within("/ab", "/a")
    assert not is_within("/a", "/a/b")


def test_the_space_of_a_path_is_its_agent():
    assert space_of("/memory/private/akashi/x/y") == "akashi"
    assert space_of(private_space("akashi")) == "akashi"
    for elsewhere in ("/memory/private", "/memory/shared/private/akashi", "/memory/privateer/x", "/"):
        assert space_of(elsewhere) is None


# --- references ----------------------------------------------------------------------------------


def ref(text: str) -> Ref:
    return parse(text, "akashi", SUFFIXES)


@settings(max_examples=500, deadline=None)
@given(texts)
@example("/x:tags?a=%ff&b")
@example("/x:tags?\ud800=%41")
def test_any_text_is_a_reference_or_is_refused(text: str):
    try:
        found = ref(text)
    except Invalid:
        return
    assert is_normal(found.path)
    assert not re.match(r"/(private|shared)(/|$)", found.path), "an alias has come through"
    assert found.suffix is None or found.suffix in SUFFIXES
    if found.suffix is None:
        assert not found.query
        assert parse(found.path, "akashi").path == found.path
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found.query.items())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/private", "/memory/private/akashi"),
        ("/private/", "/memory/private/akashi"),
        ("/private/a/b", "/memory/private/akashi/a/b"),
        ("//private//a", "/memory/private/akashi/a"),
        ("/x/../private/a", "/memory/private/akashi/a"),
        ("/private/../memory/private/kuro/a", "/memory/private/kuro/a"),
        ("/private/..", "/"),
        ("/shared", "/memory/shared"),
        ("/shared/a", "/memory/shared/a"),
        ("/privately", "/privately"),
        ("/private:x", "/private:x"),
        ("/sharedx/a", "/sharedx/a"),
        ("/memory/private/kuro", "/memory/private/kuro"),
        ("/memory/shared/private/a", "/memory/shared/private/a"),
    ],
)
def test_aliases_are_rewritten_once_and_after_dots_are_resolved(text: str, path: str):
    assert ref(text).path == path


@pytest.mark.parametrize(
    ("text", "path", "suffix"),
    [
        ("/a.md:tags", "/a.md", "tags"),
        ("/a:b:tags", "/a:b", "tags"),
        ("/a:tags:meta", "/a:tags", "meta"),
        ("/:search", "/", "search"),
        ("/memory/:tags", "/memory", "tags"),
        ("/private/a:tags", "/memory/private/akashi/a", "tags"),
        ("/a/b/..:x-y", "/a", "x-y"),
    ],
)
def test_a_registered_name_at_the_end_is_a_suffix(text: str, path: str, suffix: str):
    found = ref(text)
    assert (found.path, found.suffix, dict(found.query)) == (path, suffix, {})


@pytest.mark.parametrize(
    "text",
    [
        "/a:b?c=d",
        "/what?.md",
        "/a:tagsx",
        "/a:tag",
        "/a:Tags",
        "/a: tags",
        "/a:tags.md",
        "/a:",
        "/a::",
        "/a:tags/b",
        "/10:30?",
        "/x?q=:tag",
    ],
)
def test_any_other_colon_or_question_mark_is_part_of_a_name(text: str):
    found = ref(text)
    assert (found.path, found.suffix, dict(found.query)) == (text, None, {})


def test_without_registered_suffixes_nothing_is_one():
    assert parse("/a:tags?x=1", "akashi") == Ref("/a:tags?x=1")


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("q=a%2Fb", {"q": "a/b"}),
        ("q=a/b", {"q": "a/b"}),
        ("q=RSI+overbought", {"q": "RSI overbought"}),
        ("q=%E5%B1%80%E5%8A%BF", {"q": "局势"}),
        ("q=局势", {"q": "局势"}),
        ("limit=10&tag=work", {"limit": "10", "tag": "work"}),
        ("q=", {"q": ""}),
        ("flag", {"flag": ""}),
        ("q=a&q=b", {"q": "b"}),
        ("q=x:meta", {"q": "x:meta"}),
        ("q=../../etc", {"q": "../../etc"}),
        ("", {}),
    ],
)
def test_a_query_follows_url_rules_and_belongs_to_the_suffix_slashes_included(
    query: str, pairs: dict[str, str]
):
    found = ref(f"/memory/a.md:search?{query}")
    assert (found.path, found.suffix, dict(found.query)) == ("/memory/a.md", "search", pairs)


def test_the_query_cannot_be_changed():
    with pytest.raises(TypeError):
        ref("/a:search?q=1").query["q"] = "2"  # type: ignore[index]
    with pytest.raises(TypeError):
        ref("/a").query["q"] = "2"  # type: ignore[index]


@given(
    st.sampled_from(sorted(SUFFIXES)),
    st.text(alphabet="ab:?/=&%.", max_size=8),
    st.text(alphabet="ab.", max_size=4),
)
def test_the_leftmost_registered_suffix_that_ends_there_wins(suffix: str, query: str, base: str):
    assert split_suffix(f"/{base}:{suffix}?{query}", SUFFIXES) == (f"/{base}", suffix, query)


@pytest.mark.parametrize("text", ["/a/", "/a//", "/a/.", "/a/./", "/a/b/..", "/private/", "/.."])
def test_a_reference_that_ends_like_a_directory_is_one(text: str):
    assert ref(text).directory


@pytest.mark.parametrize("text", ["/a", "/a/b.", "/a/...", "/a/.b", "/private"])
def test_other_references_may_be_anything(text: str):
    assert not ref(text).directory


def test_a_reference_reads_as_it_is_named():
    assert str(ref("/shared/a:tags?x=1")) == "/memory/shared/a:tags"
    assert str(ref("/a?b")) == "/a?b"


# --- patterns ------------------------------------------------------------------------------------


def matches(pattern: str, path: str) -> dict[str, str] | None:
    compiled = compile_pattern(pattern)
    found = re.fullmatch(compiled.regex, path)
    return None if found is None else dict(zip(compiled.names, found.groups(), strict=True))


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"),
    [
        ("/a", "/a", {}),
        ("/a/", "/a", {}),
        ("/live/{symbol}", "/live/NVDA", {"symbol": "NVDA"}),
        ("/live/{symbol}", "/live/局\n势", {"symbol": "局\n势"}),
        ("/{a}/{b}.md", "/x/y.z.md", {"a": "x", "b": "y.z"}),
        ("/a/*.md", "/a/.md", {}),
        ("/a/x*", "/a/x\ny", {}),
        ("/memory/*", "/memory/a", {}),
        ("/memory/*", "/memory/a/b/c", {}),
        ("/memory/**", "/memory/a\n/b\n", {}),
        ("/**", "/a", {}),
        ("/**/x", "/a/b/x", {}),
        ("/a.b", "/a.b", {}),
        ("/a(b|c)[d]+$", "/a(b|c)[d]+$", {}),
        ("/{not a name}", "/{not a name}", {}),
    ],
)
def test_what_patterns_match(pattern: str, path: str, parameters: dict[str, str]):
    assert matches(pattern, path) == parameters


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/a", "/a/b"),
        ("/live/{symbol}", "/live/a/b"),
        ("/live/{symbol}", "/live/"),
        ("/a/*.md", "/a/b/c.md"),
        ("/a/*/c", "/a/b/b/c"),
        ("/memory/*", "/memory"),
        ("/memory/*", "/memoryx/a"),
        ("/memory/**", "/memory"),
        ("/a.b", "/axb"),
    ],
)
def test_what_patterns_do_not_match(pattern: str, path: str):
    assert matches(pattern, path) is None


names = st.text(min_size=1, max_size=6).map(lambda name: name.replace("/", "-"))


@given(st.lists(names, min_size=1, max_size=4))
def test_any_name_is_one_component_and_any_depth_is_below(parts: list[str]):
    path = "/m/" + "/".join(parts)
    assert matches("/m/*", path) == {}
    assert matches("/m/**", path) == {}
    assert matches("/m/*/{last}", path) == ({"last": parts[1]} if len(parts) == 2 else None)
    assert matches("/m/" + "/".join(f"{{p{n}}}" for n in range(len(parts))), path) == {
        f"p{n}": part for n, part in enumerate(parts)
    }


@given(st.text(alphabet=st.characters(exclude_characters="*{}\0", exclude_categories=["Cs"]), max_size=20))
def test_a_pattern_without_wildcards_matches_itself_alone(text: str):
    path = "/" + text.rstrip("/")
    assert matches(path, path) == {}
    assert matches(path, path + "x") is None
    assert compile_pattern(path).prefix == path.rstrip("/") or path == "/"


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("/a/b", "/a/b"),
        ("/live/prices/{symbol}", "/live/prices"),
        ("/live/pri{x}", "/live"),
        ("/live/*", "/live"),
        ("/live/x**", "/live"),
        ("/**", "/"),
        ("/{a}", "/"),
        ("/", "/"),
    ],
)
def test_the_prefix_is_the_static_directory_above_the_first_wildcard(pattern: str, prefix: str):
    assert compile_pattern(pattern).prefix == prefix


@pytest.mark.parametrize("pattern", ["", "a", "{x}", "*", "~/a"])
def test_a_pattern_is_absolute(pattern: str):
    with pytest.raises(Invalid, match="does not start with '/'"):
        compile_pattern(pattern)


def test_a_pattern_names_each_parameter_once():
    with pytest.raises(Invalid, match=r"names \{x\} twice"):
        compile_pattern("/{x}/a/{x}")
