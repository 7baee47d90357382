"""`?format=json` of every suffix has the documented keys; whatever a query says, it is answered or refused."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vfs_core.errors import Invalid, PluginError, Unsupported, VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session

NOTE = "/memory/note.md"
OF_NOTES = {
    "data": {"content"},
    "meta": {"title", "tags", "node"},
    "tags": None,
    "links": None,
    "shared": {"kuro"},
    "access": {"path", "owner", "group", "mode", "space", "rule", "shares", "agents"},
    "ttl": {"expires"},
    "path": {"path"},
    "info": None,
    "delta": {"path", "since", "version", "time", "changed", "diff", "marked"},
    "mark": {"path", "version"},
    "history": None,
    "diff": {"path", "diff"},
    "at?version=1": {"path", "version", "modified", "content", "meta"},
    "blame": None,
}
OF_DIRECTORIES = {
    "list": {"path", "entries", "next"},
    "changes": None,
    "stats": {"path", "agent", "notes", "private", "directories"},
    "search?q=quokka": None,
    "recall?q=quokka": {"text", "tokens", "matches", "notes"},
}
VERSION = {"version", "time", "author", "change", "size", "path", "sequence", "hash"}
ITEMS = {
    "links": {"kind", "target", "weight"},
    "info": {"name", "access", "summary"},
    "history": VERSION,
    "blame": {"line", "text", *VERSION},
    "changes": {"path", "version", "time", "author", "size"},
    "search": {"path", "score", "snippet"},
    "list": {"shortcut", "name", "path", "kind", "size", "version", "modified", "title"},
    "access": {"agent", "allowed", "reason"},
    "recall": {"path", "score", "author", "text"},
}
PLACES = {"list": "entries", "access": "agents", "recall": "notes"}
EVERY = [*((NOTE, name) for name in OF_NOTES), *(("/memory", name) for name in OF_DIRECTORIES)]


@pytest.fixture
def session(kernel: Kernel) -> Session:
    opened = kernel.session("akashi")
    opened.write(NOTE, "quokka\n", {"title": "N", "tags": ["a", "b"]})
    opened.write("/memory/other.md", "x")
    opened.link(NOTE, "/memory/other.md")
    opened.share(NOTE, "kuro")
    return opened


def as_json(session: Session, path: str, name: str) -> object:
    return json.loads(session.read(f"{path}:{name}{'&' if '?' in name else '?'}format=json").text)


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_the_keys_are_those_documented(session: Session, path: str, name: str):
    given, bare = as_json(session, path, name), name.partition("?")[0]
    keys = {**OF_NOTES, **OF_DIRECTORIES}[name]
    assert isinstance(given, list) if keys is None else isinstance(given, dict) and given.keys() == keys
    items = given[PLACES[bare]] if bare in PLACES else given
    if bare in ITEMS:
        assert items
        assert all(each.keys() == ITEMS[bare] for each in items)
    page = (Path(__file__).parents[3] / "docs" / "suffixes.md").read_text()
    (line,) = re.findall(rf"^\| `:{bare}` \| (.*)\|$", page.partition("## JSON")[2], re.MULTILINE)
    for key in (keys or set()) - {"kuro", "title", "tags", "node"} | ITEMS.get(bare, set()) - VERSION:
        assert key in line, f"{key} of :{bare} is not documented"


def test_every_suffix_has_been_looked_at(kernel: Kernel):
    assert {name.partition("?")[0] for _, name in EVERY} | {"inbox"} == set(kernel.suffix_names)


def test_values_are_typed(session: Session):
    assert as_json(session, NOTE, "tags") == ["a", "b"]
    assert as_json(session, NOTE, "links") == [
        {"kind": "related", "target": "/memory/other.md", "weight": 1.0}
    ]
    assert as_json(session, NOTE, "shared") == {"kuro": "r"}
    assert as_json(session, NOTE, "ttl") == {"expires": None}
    session.write(f"{NOTE}:ttl", "1d")
    assert re.fullmatch(r"\d{4}-.*\+00:00", as_json(session, NOTE, "ttl")["expires"])  # type: ignore[index]
    session.write("/memory/raw", b"\xff")
    assert as_json(session, "/memory/raw", "data") == {"base64": "/w=="}
    assert as_json(session, "/memory/raw", "at?version=1")["base64"] == "/w=="  # type: ignore[index]


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_text_is_the_default_and_can_be_said(session: Session, path: str, name: str):
    joined = f"{path}:{name}{'&' if '?' in name else '?'}format="
    plain = session.read(f"{path}:{name}").data
    session.write(f"{NOTE}:mark", "0")
    assert session.read(f"{joined}text").data == plain
    for bad in ("xml", "", "JSON", "json%20"):
        with pytest.raises(Invalid, match="format is text or json, not"):
            session.read(f"{joined}{bad}")


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_an_option_that_there_is_not_is_refused(session: Session, path: str, name: str):
    with pytest.raises(Invalid, match=r"has no option 'odd'; it has .*format"):
        session.read(f"{path}:{name}{'&' if '?' in name else '?'}odd=1")


@pytest.mark.parametrize(("name", "content"), [("tags", "x"), ("meta", "{}"), ("mark", "now"), ("data", "x")])
def test_writing_takes_no_format_and_changes_nothing(session: Session, name: str, content: str):
    before = session.read(NOTE)
    with pytest.raises(Invalid, match="has no option 'format' for writing"):
        session.write(f"{NOTE}:{name}?format=json", content)
    assert session.read(NOTE) == before
    assert session.read(f"{NOTE}:mark").text == "0\n"


def test_a_suffix_of_another_without_json_says_so(session: Session, kernel: Kernel):
    from vfs_core.suffix import BaseSuffix, SuffixContext

    class Plain(BaseSuffix):
        def read(self, context: SuffixContext) -> str:
            return "x"

    with pytest.raises(Unsupported, match="has no JSON form"):
        Plain().read_json(SuffixContext(session, NOTE, {}))


def test_messages_are_not_there_yet(session: Session):
    for attempt in (
        lambda: session.read("/:inbox"),
        lambda: session.read("/:inbox?mark=read"),
        lambda: session.read(f"{NOTE}:inbox?format=json"),
        lambda: session.write("/:inbox", "x"),
    ):
        with pytest.raises(Unsupported, match="not available yet"):
            attempt()


# --- the past ------------------------------------------------------------------------------------


def test_the_past_is_as_the_session_tells_it(session: Session):
    session.append(NOTE, "wallaby\n")
    assert session.read(f"{NOTE}:diff").text == session.diff(NOTE)
    assert session.read(f"{NOTE}:diff?from=0&to=1").text == session.diff(NOTE, 0, 1)
    assert session.read(f"{NOTE}:at?version=1").text == "quokka\n"
    assert session.read(f"{NOTE}:at?t=now").text == "quokka\nwallaby\n"
    assert [line.split()[-1] for line in session.read(f"{NOTE}:blame").text.splitlines()] == [
        "quokka",
        "wallaby",
    ]
    assert session.read(f"{NOTE}:blame").text.startswith("v1    akashi ")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        *(("diff?from=x", "from is a whole number"), ("diff?to=0", "to is a whole number from 1")),
        *(
            ("at", "look at is missing; write .version=3 or"),
            ("at?version=1&t=now", "a version or a time, not both"),
            ("at?version=0", "from 1"),
        ),
        *(
            ("at?t=", "neither a time"),
            ("at?t=2026-99-99", "neither a time"),
            ("at?version=1.0", "whole number"),
        ),
    ],
)
def test_a_moment_that_is_none_is_refused(session: Session, query: str, why: str):
    with pytest.raises(Invalid, match=why):
        session.read(f"{NOTE}:{query}")


@pytest.mark.parametrize("moment", ["2999-12-31", "0001-01-01", "1d"])
def test_where_there_was_nothing_nothing_is_found(session: Session, moment: str):
    if moment == "2999-12-31":
        assert session.read(f"{NOTE}:at?t={moment}").text == "quokka\n"
    else:
        with pytest.raises(VfsError):
            session.read(f"{NOTE}:at?t={moment}")


# --- whatever is asked ---------------------------------------------------------------------------

KEYS = (
    "q",
    "limit",
    "offset",
    "tag",
    "minutes",
    "since",
    "mode",
    "from",
    "to",
    "version",
    "t",
    "session",
    "format",
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["1", "5", "2h", "now", "2026-03-20", "9999-12-31", "1e9w", "lexical", "json", "局势", "a/b", "\0"]
    ),
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Session]:
    with Kernel(None, ":memory:") as kernel:
        opened = kernel.session("akashi")
        opened.write(NOTE, "quokka 局势\n")
        yield opened


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(EVERY),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    st.sampled_from(["&", ";", "&&"]),
)
@example((NOTE, "at"), {"t": "999999999999999999w"}, "&")
@example((NOTE, "at"), {"t": "0001-01-01"}, "&")
@example(("/memory", "changes"), {"since": "0001-01-01"}, "&")
@example(("/memory", "changes"), {"since": "9999-12-31T23:59:59-23:59"}, "&")
@example(("/memory", "list"), {"q": "\ud800"}, "&")
def test_any_query_is_answered_or_refused(
    shared: Session, of: tuple[str, str], query: dict[str, str], joint: str
):
    path, name = of[0], of[1].partition("?")[0]
    before = shared.read(NOTE), len(shared.history(NOTE))
    pairs = joint.join(f"{key}={quote(value, errors='replace')}" for key, value in query.items())
    try:
        shared.read(f"{path}:{name}?{pairs}")
    except PluginError as error:
        assert "failed" not in str(error), "an error has come through that is none of ours"
    except VfsError as error:
        assert str(error)
    assert (shared.read(NOTE), len(shared.history(NOTE))) == before
