"""Which rule serves a path, and which directories exist because of patterns."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vfs_core.config import ProviderRule
from vfs_core.errors import Invalid
from vfs_core.path import compile_pattern
from vfs_core.pattern_tree import never_matches
from vfs_core.routing import Child, RouteTable


def table(*patterns: str) -> RouteTable:
    return RouteTable(
        [ProviderRule(text, "memory", where=f"c.yaml:{line}") for line, text in enumerate(patterns, 1)]
    )


def matched(routes: RouteTable, path: str) -> int | None:
    found = routes.match(path)
    return None if found is None else found.route.index


# --- matching ------------------------------------------------------------------------------------


def test_a_route_gives_parameters_and_what_is_below_the_static_prefix():
    found = table("/live/prices/{symbol}").match("/live/prices/NVDA")
    assert found is not None
    assert found.parameters == {"symbol": "NVDA"}
    assert found.relative == "NVDA"
    assert found.route.rule.where == "c.yaml:1"


def test_several_parameters_in_one_path():
    found = table("/r/{owner}/x-{name}.{ext}").match("/r/ann/x-a.b.md")
    assert found is not None
    assert found.parameters == {"owner": "ann", "name": "a.b", "ext": "md"}
    assert found.relative == "ann/x-a.b.md"


def test_a_pattern_without_wildcards_matches_only_itself():
    routes = table("/system/status")
    found = routes.match("/system/status")
    assert found is not None
    assert (found.parameters, found.relative) == ({}, "")
    assert routes.match("/system") is None
    assert routes.match("/system/status/x") is None


def test_the_first_match_in_file_order_wins_however_specific_a_later_one_is():
    assert matched(table("/a/*", "/a/b"), "/a/b") == 0
    assert matched(table("/a/b", "/a/*"), "/a/b") == 0
    assert matched(table("/a/{x}/c", "/**", "/a/b/c"), "/a/b/c") == 0
    assert matched(table("/x", "/**", "/a/b/c"), "/a/b/c") == 1


def test_a_trailing_star_matches_any_depth_and_at_least_one_component():
    routes = table("/live/*")
    assert matched(routes, "/live/a/b/c") == 0
    assert matched(routes, "/live") is None


def test_the_root_can_be_served():
    assert matched(table("/"), "/") == 0
    assert matched(table("/*"), "/") is None
    assert matched(table("/*"), "/a/b") == 0
    assert table("/{x}").match("/a").relative == "a"  # type: ignore[union-attr] - it matches


def test_a_newline_in_a_name_does_not_slip_through_a_pattern():
    for pattern in ("/a/*", "/a/**", "/a/{x}", "/a/x*", "/a/**/y"):
        assert matched(table(pattern), "/a/x\n/y" if pattern.endswith("/y") else "/a/x\n") == 0


def test_no_rules_match_nothing():
    routes = table()
    assert routes.match("/") is None
    assert routes.listing_route("/a") is None
    assert not routes.is_synthetic("/")
    assert routes.children("/") == ()


def test_a_bad_pattern_is_refused():
    with pytest.raises(Invalid, match="does not start with '/'"):
        table("a/b")


COMPONENTS = [
    *["a", "b", "ab", "a.b", "(", "é", "a\nb", "{", "{a b}"],
    *["{x}", "*", "a*", "*b", "a{x}", "{x}.{y}", "*{y}", "{x}{y}", "a*b*"],
    *["**", "a**", "**b", "***", "{y}**"],
]
NAMES = ["a", "b", "ab", "a.b", "(", "é", "a\nb", "aab", "abb", "{", "{a b}", "c"]


def has_distinct_names(text: str) -> bool:
    names = re.findall(r"\{([a-z])\}", text)
    return len(names) == len(set(names))


patterns = (
    st.lists(st.sampled_from(COMPONENTS), max_size=4)
    .map(lambda parts: "/" + "/".join(parts))
    .filter(has_distinct_names)
)
paths = st.lists(st.sampled_from(NAMES), max_size=5).map(lambda parts: "/" + "/".join(parts))


def first_by_scan(texts: list[str], path: str) -> int | None:
    """The oracle: try every rule in order."""
    for index, text in enumerate(texts):
        if re.fullmatch(compile_pattern(text).regex, path, re.DOTALL):
            return index
    return None


@settings(max_examples=500, deadline=None)
@given(st.lists(patterns, max_size=12), st.lists(paths, min_size=20, max_size=20))
def test_matching_equals_a_scan_in_file_order(texts: list[str], some_paths: list[str]):
    routes = table(*texts)
    for path in some_paths:
        expected = first_by_scan(texts, path)
        found = routes.match(path)
        assert (None if found is None else found.route.index) == expected
        if found is not None:
            regex = re.compile(found.route.pattern.regex, re.DOTALL)
            values = regex.fullmatch(path).groups()  # type: ignore[union-attr] - it matches
            assert found.parameters == dict(zip(found.route.pattern.names, values, strict=True))
            prefix = found.route.pattern.prefix.rstrip("/")
            assert f"{prefix}/{found.relative}".rstrip("/") == path.rstrip("/")


@settings(max_examples=200, deadline=None)
@given(st.lists(patterns, max_size=12), st.lists(paths, min_size=30, max_size=30))
def test_a_rule_reported_as_unreachable_never_matches_first(texts: list[str], some_paths: list[str]):
    dead = {int(re.findall(r"\d+", problem.key)[0]) for problem in table(*texts).unreachable()}
    for path in some_paths:
        assert first_by_scan(texts, path) not in dead


# --- directories ---------------------------------------------------------------------------------


def test_static_prefixes_are_directories_and_literal_patterns_are_files_in_them():
    routes = table("/live/prices/{symbol}", "/system/status", "/live/indicators/*", "/x/y/z")
    assert routes.children("/") == (Child("live", True), Child("system", True), Child("x", True))
    assert routes.children("/live") == (Child("indicators", True), Child("prices", True))
    assert routes.children("/system") == (Child("status", False),)
    assert routes.children("/live/prices") == ()
    for directory in ("/", "/live", "/live/prices", "/live/indicators", "/system", "/x", "/x/y"):
        assert routes.is_synthetic(directory), directory
    for other in ("/system/status", "/live/prices/NVDA", "/live/indicators/rsi", "/nowhere", "/x/y/z"):
        assert not routes.is_synthetic(other), other


def test_what_is_literal_below_a_wildcard_is_not_listed_without_the_handler():
    routes = table("/r/{owner}/readme", "/r/a*/x")
    assert routes.children("/r") == ()
    assert routes.children("/r/ann") == ()
    assert not routes.is_synthetic("/r/ann")


def test_a_name_that_is_both_a_file_and_a_directory_is_a_directory():
    routes = table("/a/b", "/a/b/c")
    assert routes.children("/a") == (Child("b", True),)
    assert matched(routes, "/a/b") == 0


def listed_by(routes: RouteTable, path: str) -> int | None:
    found = routes.listing_route(path)
    return None if found is None else found.route.index


def test_a_static_prefix_is_listed_by_the_first_rule_that_has_it():
    routes = table("/live/prices/latest", "/live/prices/{symbol}", "/live/prices/{symbol}/day")
    assert listed_by(routes, "/live/prices") == 1
    assert listed_by(routes, "/live") is None
    assert listed_by(routes, "/live/prices/latest") == 2


def test_levels_below_a_deep_pattern_are_listed_by_it():
    routes = table("/live/*")
    assert listed_by(routes, "/live") == 0
    assert listed_by(routes, "/live/a/b") == 0
    assert listed_by(routes, "/") is None
    assert listed_by(routes, "/other") is None


def test_levels_named_by_parameters_are_listed_with_the_parameters_known_so_far():
    found = table("/repos/{owner}/{repo}").listing_route("/repos/ann")
    assert found is not None
    assert (found.parameters, found.relative) == ({"owner": "ann"}, "ann")
    assert table("/repos/{owner}/{repo}").listing_route("/repos/ann/avm") is None
    found = table("/repos/{owner}/{repo}").listing_route("/repos")
    assert found is not None
    assert (found.parameters, found.relative) == ({}, "")
    found = table("/r/{owner}/**/{name}").listing_route("/r/ann/x")
    assert found is not None
    assert found.parameters["owner"] == "ann"


ENDS = ["", "/**", "/*", "/a**", "/**/b", "/a**b"]
directory_patterns = st.tuples(
    st.lists(st.sampled_from(["a", "b", "ab", "{x}", "a*", "*"]), min_size=1, max_size=2),
    st.sampled_from(ENDS),
).map(lambda parts: "/" + "/".join(parts[0]) + parts[1])


@cache
def some_matches(text: str) -> frozenset[str]:
    """Normal paths that a pattern matches, by putting texts in for its wildcards."""
    if text.endswith("/*"):
        text += "*"
    deep = ["".join(letters) for size in range(1, 6) for letters in product("abc/", repeat=size)]
    pieces = re.split(r"(\{x\}|\*\*|\*)", text)
    choices = [
        {"{x}": ["a", "b", "ab", "c"], "*": ["", "a", "b", "c", "ab"], "**": deep}.get(piece, [piece])
        for piece in pieces
    ]
    found = ("".join(parts) for parts in product(*choices))
    return frozenset(path for path in found if "//" not in path and not path.endswith("/"))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(directory_patterns.filter(lambda text: text.count("{x}") < 2), max_size=4),
    st.sampled_from(["/", "/a", "/b", "/c", "/ab", "/a/a", "/a/b", "/b/a", "/b/c", "/c/a"]),
)
def test_the_listing_route_is_the_first_that_can_match_below(texts: list[str], path: str):
    def can_match_below(text: str) -> bool:
        pattern = compile_pattern(text)
        if not pattern.names and "*" not in text:
            return False
        inside = pattern.prefix in ("/", path) or path.startswith(pattern.prefix + "/")
        below = path.rstrip("/") + "/"
        return inside and any(each.startswith(below) for each in some_matches(text))

    expected = next((index for index, text in enumerate(texts) if can_match_below(text)), None)
    assert listed_by(table(*texts), path) == expected


# --- rules that are never used -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/a/b", "/a/b"),
        ("/a/b", "/a/b/"),
        ("/a/{x}", "/a/{y}"),
        ("/a/{x}", "/a/b"),
        ("/a/*/c", "/a/{y}/c"),
        ("/live/*", "/live/prices/{symbol}"),
        ("/live/**", "/live/prices/*"),
        ("/live/**", "/live/**/x"),
        ("/**", "/a"),
        ("/a/x*", "/a/xy"),
        ("/a/x*/b", "/a/x*/b"),
        ("/a/{x}.md", "/a/{y}.md"),
        ("/a/**/b", "/a/**/b"),
        ("/a/{x}/**", "/a/b/c/{y}"),
    ],
)
def test_a_rule_that_an_earlier_one_covers_is_reported(earlier: str, later: str):
    problems = table("/first", earlier, later).unreachable()
    assert [problem.key for problem in problems] == ["providers[2].pattern"]
    assert problems[0].where == "c.yaml:3"
    assert repr(earlier) in problems[0].what


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/live/*", "/live"),
        ("/a/b", "/a/{x}"),
        ("/a/x*", "/a/{x}"),
        ("/a/{x}/**", "/a/**"),
        ("/a/{x}", "/a/{x}/b"),
        ("/a/{x}.md", "/a/*.md.md"),
        ("/a/**/b", "/a/**/c"),
    ],
)
def test_a_rule_that_may_still_match_is_not_reported(earlier: str, later: str):
    assert table(earlier, later).unreachable() == []


@pytest.mark.parametrize(
    "pattern", ["/a//b", "/a/../b", "/./a", "/a/\0", "/private/x", "/shared/*", "/private"]
)
def test_a_pattern_that_no_normal_path_has_is_reported_and_harmless(pattern: str):
    routes = table(pattern)
    assert never_matches(compile_pattern(pattern))
    assert len(routes.unreachable()) == 1
    assert routes.children("/") == ()


def test_ten_thousand_rules_below_one_directory_keep_their_order():
    texts = [f"/live/{{x}}/p{number}" for number in range(5000)]
    texts += [f"/live/q{number}-*" for number in range(4999)] + ["/**"]
    routes = table(*texts)
    assert matched(routes, "/live/a/p4999") == 4999
    assert matched(routes, "/live/q4000-x") == 9000
    assert matched(routes, "/live/none/x") == 9999
    assert routes.unreachable() == []


@pytest.mark.parametrize(
    ("patterns", "path", "may"),
    [
        ((), "/memory/a", False),
        (("/live/{x}", "/db/**"), "/live", True),
        (("/live/{x}", "/db/**"), "/db/a/b", True),
        (("/live/{x}", "/db/**"), "/liver/a", False),
        (("/live/{x}",), "/", False),
        (("/{x}/live",), "/memory/live", True),
        (("/a*",), "/memory", True),
    ],
)
def test_a_first_component_that_no_rule_has_is_passed_by(patterns, path, may):
    assert table(*patterns).may_serve(path) is may
