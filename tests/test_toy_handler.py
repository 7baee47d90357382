"""Two toy handlers pass the handler suite, and what breaks a promise fails it."""

import threading

import pytest

from vfs_core.errors import Invalid, NotFound
from vfs_core.handler import BaseHandler, Context
from vfs_core.testing.handlers import PRINCIPAL, HandlerTests, attempt
from vfs_core.types import Kind, Stat


class DictHandler(BaseHandler):
    """Keeps contents in a dict: everything that a handler can offer."""

    def __init__(self, config=None):
        super().__init__(config)
        self.contents = {"/toys/here.txt": b"teddy", "/toys/box/car": b"red"}
        self.lock = threading.Lock()

    def read(self, path, context):
        return self.contents.get(path)

    def write(self, path, data, context):
        self.contents[path] = data

    def append(self, path, data, context):
        with self.lock:
            self.contents[path] = self.contents.get(path, b"") + data

    def list(self, path, context):
        below = [name[len(path) + 1 :] for name in self.contents if name.startswith(path + "/")]
        return {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}

    def stat(self, path, context):
        if path not in self.contents:
            return (
                Stat(0, Kind.DIRECTORY, 0o755, "toys", "toys", 0, 1, 0, 0, 0)
                if self.list(path, context)
                else None
            )
        return Stat(0, Kind.FILE, 0o644, "toys", "toys", len(self.contents[path]), 1, 0, 0, 0)

    def delete(self, path, context):
        if self.contents.pop(path, None) is None:
            raise NotFound.at(path)

    def rename(self, old, new, context):
        if old not in self.contents:
            raise NotFound.at(old)
        self.contents[new] = self.contents.pop(old)


class GreetingHandler(BaseHandler):
    """Greets whoever is named: the seed's example, one method."""

    def read(self, path, context):
        name = path.rpartition("/")[2]
        return f"hello {name}" if name.isalpha() else None


class TestDictHandler(HandlerTests):
    @pytest.fixture
    def handler(self):
        return DictHandler()

    @pytest.fixture
    def present(self):
        return "/toys/here.txt", b"teddy"

    @pytest.fixture
    def absent(self):
        return "/toys/missing.txt"


class TestGreetingHandler(HandlerTests):
    @pytest.fixture
    def handler(self):
        return GreetingHandler()

    @pytest.fixture
    def present(self):
        return "/greet/ada", b"hello ada"

    @pytest.fixture
    def absent(self):
        return "/greet/1"


class CrashingHandler(GreetingHandler):
    def read(self, path, context):
        return {}[path]


class LyingHandler(DictHandler):
    def write(self, path, data, context):
        self.contents[path] = data.strip()


class TearingHandler(DictHandler):
    def append(self, path, data, context):
        old = self.contents.get(path, b"")
        threading.Event().wait(0.001)
        self.contents[path] = old + data


class PathListingHandler(DictHandler):
    def list(self, path, context):
        return [name for name in self.contents if name.startswith(path)]


def make_context(path):
    return Context(PRINCIPAL, None, relative=path.lstrip("/"))


def test_a_broken_promise_fails_the_suite():
    suite, here, gone = HandlerTests(), ("/toys/here.txt", b"teddy"), "/toys/missing.txt"
    with pytest.raises(KeyError):
        suite.test_what_is_not_there_is_none(CrashingHandler(), gone, make_context)
    for handler, test, arguments in (
        (LyingHandler(), suite.test_what_is_written_is_read_back, (gone, make_context, b"\r\n")),
        (TearingHandler(), suite.test_appends_by_four_threads_lose_nothing, (gone, make_context)),
        (PathListingHandler(), suite.test_what_is_there_is_listed, (here, gone, make_context)),
    ):
        with pytest.raises(AssertionError):
            test(handler, handler.capabilities(), *arguments)


def test_an_attempt_lets_through_what_is_no_error_of_ours():
    def wrong():
        raise Invalid("no")

    assert attempt(wrong) is None
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 // 0)
