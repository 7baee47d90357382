"""The conformance suite of the handler contract (`vfs_core.handler`).

Override `handler`, `present` and `absent`; where the handler reads pattern parameters or `relative`,
`make_context` as well. Of what the handler does not offer, one test asks that it is refused clearly; the
others have nothing to say then, and pass.
"""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from vfs_core.errors import ReadOnly, TimedOut, Unsupported, VfsError
from vfs_core.handler import BaseHandler, Capabilities, Content, Context, Listed
from vfs_core.path import join, split
from vfs_core.testing.store_contents import in_threads
from vfs_core.testing.store_help import ODD_NAMES
from vfs_core.types import Kind, Node, Principal, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

MakeContext = Callable[[str], Context]

ODD_REQUESTS = (
    *ODD_NAMES,
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "%s%n",
    "${HOME}",
    "$(id)",
    "`id`",
    "'; DROP TABLE node; --",
    "a/" * 100 + "deep",
    "trailing.",
    "~",
    "a\\..\\b",
    "?query=1&x[]=2",
    "#fragment",
)
"""Names that have broken handlers: escapes, templates, shells, queries."""

CONTENTS = (b"", b"text", b"\0\xff\xfe\r\n\x80", "局势 紧张".encode(), bytes(range(256)) * 400)

PRINCIPAL = Principal("akashi", "founder", "python")


def as_bytes(content: Content) -> bytes | None:
    """What `read` returned, as the kernel takes it."""
    if isinstance(content, Node):
        return content.data
    return content.encode() if isinstance(content, str) else content


def names_of(listed: Iterable[Listed]) -> list[str]:
    """The names that `list` gave, with or without stats; those of directories with a trailing slash."""
    names: list[str] = []
    for each in listed:
        name, stat = (each, None) if isinstance(each, str) else each
        assert isinstance(name, str)
        assert stat is None or isinstance(stat, Stat)
        slash = "/" if stat is not None and stat.is_directory and not name.endswith("/") else ""
        names.append(name + slash)
    return names


class _NoSession:
    """Stands in for a session: nothing can be reached through it."""

    def __getattr__(self, name: str) -> object:
        raise Unsupported(f"a handler under test has no session, and asked it for {name!r}")


Result = TypeVar("Result")


def attempt(call: Callable[[], Result]) -> Result | None:
    """What a call returns, None where it raises a VfsError; anything else that it raises is a failure."""
    try:
        return call()
    except VfsError:
        return None


class HandlerTests:
    """What the kernel relies on, for any handler."""

    @pytest.fixture
    def handler(self) -> Iterator[BaseHandler]:
        """An instance, made with a valid `config`."""
        raise NotImplementedError("override the fixture `handler`")

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        """A path that the handler serves, and the content that is there."""
        raise NotImplementedError("override the fixture `present`")

    @pytest.fixture
    def absent(self) -> str:
        """A path of the handler's at which there is nothing, and that could be written if any can."""
        raise NotImplementedError("override the fixture `absent`")

    @pytest.fixture
    def make_context(self) -> MakeContext:
        """A context for a path, as the kernel makes it for a pattern without parameters."""
        return lambda path: Context(PRINCIPAL, cast("Session", _NoSession()), relative=path.lstrip("/"))

    @pytest.fixture
    def offers(self, handler: BaseHandler) -> Capabilities:
        """What the handler says that it can do."""
        return handler.capabilities()

    # --- reading ---------------------------------------------------------------------------------

    def test_what_is_there_is_read(
        self, handler: BaseHandler, present: tuple[str, bytes], make_context: MakeContext
    ) -> None:
        path, data = present
        for _ in range(2):
            content = handler.read(path, make_context(path))
            assert isinstance(content, (bytes, str, Node))
            assert as_bytes(content) == data

    def test_what_is_not_there_is_none(
        self, handler: BaseHandler, absent: str, make_context: MakeContext
    ) -> None:
        assert handler.read(absent, make_context(absent)) is None

    def test_a_range_is_a_hint(
        self, handler: BaseHandler, present: tuple[str, bytes], make_context: MakeContext
    ) -> None:
        path, data = present
        context = make_context(path)
        part = Context(
            context.principal, context.session, context.parameters, context.relative, offset=1, size=2
        )
        assert as_bytes(handler.read(path, part)) in (data, data[1:3])

    def test_a_deadline_that_has_passed_gives_the_content_or_says_so(
        self, handler: BaseHandler, present: tuple[str, bytes], make_context: MakeContext
    ) -> None:
        path, data = present
        context = make_context(path)
        late = Context(
            context.principal,
            context.session,
            context.parameters,
            context.relative,
            deadline=time.monotonic() - 1,
        )
        with contextlib.suppress(TimedOut):
            assert as_bytes(handler.read(path, late)) == data

    @pytest.mark.parametrize("name", ODD_REQUESTS)
    def test_odd_names_are_answered(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        make_context: MakeContext,
        name: str,
    ) -> None:
        path = join(split(present[0])[0], name)
        content = attempt(lambda: handler.read(path, make_context(path)))
        assert content is None or isinstance(content, (bytes, str, Node))
        if offers.stat:
            stat = attempt(lambda: handler.stat(path, make_context(path)))
            assert stat is None or isinstance(stat, Stat)
        if offers.list:
            attempt(lambda: names_of(handler.list(path, make_context(path))))

    # --- what it offers --------------------------------------------------------------------------

    def test_what_is_not_offered_is_refused_and_changes_nothing(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        absent: str,
        make_context: MakeContext,
    ) -> None:
        path, data = present
        context = make_context(path)
        calls: dict[str, Callable[[], object]] = {
            "write": lambda: handler.write(path, b"changed", context),
            "append": lambda: handler.append(path, b"changed", context),
            "list": lambda: list(handler.list(split(path)[0], context)),
            "stat": lambda: handler.stat(path, context),
            "delete": lambda: handler.delete(path, context),
            "rename": lambda: handler.rename(path, absent, context),
        }
        for name, call in calls.items():
            if not getattr(offers, name):
                with pytest.raises((ReadOnly, Unsupported)) as caught:
                    call()
                assert str(caught.value), f"{name} is refused without a word"
        assert as_bytes(handler.read(path, context)) == data

    def test_it_says_how_it_is_used(self, handler: BaseHandler) -> None:
        assert isinstance(handler.skill_info(), str)
        assert isinstance(handler.capabilities(), Capabilities)

    def test_what_is_listed_is_there_as_it_was_listed(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        make_context: MakeContext,
    ) -> None:
        directory = split(present[0])[0]
        while offers.list and offers.stat and directory != "/":
            names: list[str] = []
            with contextlib.suppress(VfsError):  # above the pattern there may be nothing
                names.extend(names_of(handler.list(directory, make_context(directory))))
            for name in names:
                path = join(directory, name.rstrip("/"))
                stat = handler.stat(path, make_context(path))
                assert stat is not None, f"{path} is listed and is not there"
                assert stat.is_directory == name.endswith("/"), f"{path} is listed as {name!r}"
            directory = split(directory)[0]

    # --- writing ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("data", CONTENTS, ids=("empty", "text", "binary", "chinese", "big"))
    def test_what_is_written_is_read_back(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext, data: bytes
    ) -> None:
        if not offers.write:
            return
        context = make_context(absent)
        try:
            handler.write(absent, data, context)
        except VfsError:
            assert data != b"text", "plain text must be accepted"
            assert handler.read(absent, context) is None, "what is refused must not be kept"
            return
        assert as_bytes(handler.read(absent, context)) == data

    def test_writing_again_replaces(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext
    ) -> None:
        if not offers.write:
            return
        context = make_context(absent)
        for data in (b"a longer text", b"short", b"another"):
            handler.write(absent, data, context)
            assert as_bytes(handler.read(absent, context)) == data

    def test_appending_adds_at_the_end(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext
    ) -> None:
        if not offers.append:
            return
        context = make_context(absent)
        handler.append(absent, b"one\n", context)
        handler.append(absent, b"two\n", context)
        assert as_bytes(handler.read(absent, context)) == b"one\ntwo\n"

    def test_appends_by_four_threads_lose_nothing(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext
    ) -> None:
        if not offers.append:
            return
        handler.append(absent, b"begin\n", make_context(absent))

        def work(name: int) -> None:
            for number in range(10):
                handler.append(absent, b"%d:%d\n" % (name, number), make_context(absent))

        in_threads(4, work)
        lines = (as_bytes(handler.read(absent, make_context(absent))) or b"").decode().splitlines()
        assert sorted(lines) == sorted(["begin", *(f"{name}:{n}" for name in range(4) for n in range(10))])

    # --- names -----------------------------------------------------------------------------------

    def test_what_is_there_is_listed(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        absent: str,
        make_context: MakeContext,
    ) -> None:
        if not offers.list:
            return
        directory, name = split(present[0])
        names = names_of(handler.list(directory, make_context(directory)))
        assert name in names
        assert len(set(names)) == len(names)
        for each in names:
            bare = each.removesuffix("/")
            assert bare not in ("", ".", ".."), f"{each!r} is no name"
            assert "/" not in bare, f"{each!r} is a path, not a name"
        if split(absent)[0] == directory:
            assert split(absent)[1] not in names

    def test_listing_what_is_not_there_shows_nothing(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext
    ) -> None:
        if not offers.list:
            return
        below = join(absent, "below")
        assert not attempt(lambda: list(handler.list(below, make_context(below))))

    def test_a_stat_agrees_with_reading(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        absent: str,
        make_context: MakeContext,
    ) -> None:
        if not offers.stat:
            return
        path, data = present
        stat = handler.stat(path, make_context(path))
        assert isinstance(stat, Stat)
        assert (stat.kind, stat.size) == (Kind.FILE, len(data))
        if offers.list:
            directory, name = split(path)
            listed = list(handler.list(directory, make_context(directory)))
            assert name in listed or (name, stat) in [
                (each[0], each[1]) for each in listed if type(each) is tuple
            ]
        assert handler.stat(absent, make_context(absent)) is None

    def test_a_stat_follows_a_write(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext
    ) -> None:
        if not (offers.stat and offers.write):
            return
        handler.write(absent, b"12345", make_context(absent))
        stat = handler.stat(absent, make_context(absent))
        assert stat is not None
        assert stat.size == 5

    def test_what_is_deleted_is_gone(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        absent: str,
        make_context: MakeContext,
    ) -> None:
        if not offers.delete:
            return
        path = present[0]
        handler.delete(path, make_context(path))
        assert handler.read(path, make_context(path)) is None
        if offers.list:
            directory, name = split(path)
            assert name not in (
                attempt(lambda: names_of(handler.list(directory, make_context(directory)))) or []
            )
        for gone in (path, absent):
            with pytest.raises(VfsError):
                handler.delete(gone, make_context(gone))

    def test_a_rename_moves_the_content(
        self,
        handler: BaseHandler,
        offers: Capabilities,
        present: tuple[str, bytes],
        absent: str,
        make_context: MakeContext,
    ) -> None:
        if not offers.rename:
            return
        path, data = present
        handler.rename(path, absent, make_context(path))
        assert handler.read(path, make_context(path)) is None
        assert as_bytes(handler.read(absent, make_context(absent))) == data
        with pytest.raises(VfsError):
            handler.rename(path, absent + "-2", make_context(path))
        assert as_bytes(handler.read(absent, make_context(absent))) == data

    # --- life ------------------------------------------------------------------------------------

    def test_several_threads_read_at_once(
        self, handler: BaseHandler, present: tuple[str, bytes], absent: str, make_context: MakeContext
    ) -> None:
        path, data = present

        def work(_name: int) -> None:
            for _ in range(20):
                assert as_bytes(handler.read(path, make_context(path))) == data
                assert handler.read(absent, make_context(absent)) is None

        in_threads(4, work)

    def test_readers_see_one_whole_write_or_another(
        self, handler: BaseHandler, offers: Capabilities, absent: str, make_context: MakeContext
    ) -> None:
        if not offers.write:
            return
        texts = [str(number).encode() * 5000 for number in range(3)]
        handler.write(absent, texts[0], make_context(absent))
        torn: list[object] = []

        def work(name: int) -> None:
            for _ in range(10):
                if name == 2:
                    content = as_bytes(handler.read(absent, make_context(absent)))
                    if content not in texts:
                        torn.append(content)
                else:
                    handler.write(absent, texts[name], make_context(absent))

        in_threads(3, work)
        assert torn == []

    def test_closing_twice_is_closing_once(self, handler: BaseHandler) -> None:
        handler.close()
        handler.close()
