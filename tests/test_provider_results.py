"""Handlers that are slow, hang or end the process, and results that a rule's `ttl` keeps, through sessions."""

import os
import threading
import time
from pathlib import Path

import pytest

from avm import BaseHandler, register_handler
from avm.errors import Denied, NotFound, PluginError, TimedOut
from vfs_core import plugins
from vfs_core.config import Config, PermissionRule, ProviderRule
from vfs_core.kernel import Kernel
from vfs_core.providers import synthetic_stat
from vfs_core.types import Kind, Node

HOUR = 3600.0


class Counting(BaseHandler):
    """Answers with how often it was asked, and who asks."""

    asked = 0

    def read(self, path, context):
        Counting.asked += 1
        return f"{Counting.asked} {context.principal.agent} {dict(context.query)}"

    def write(self, path, data, context):
        pass


class ForAll(Counting):
    caching = "all"


class Never(Counting):
    caching = "never"


class Hanging(BaseHandler):
    """Hangs where it is told to, until it is let go."""

    let_go: threading.Event
    closed = 0

    def __init__(self, config=None):
        super().__init__(config)
        if self.config.get("at") == "birth":
            Hanging.let_go.wait(60)

    def read(self, path, context):
        if path.endswith("/slow"):
            Hanging.let_go.wait(60)
        assert not Hanging.closed
        return b"here"

    def list(self, path, context):
        Hanging.let_go.wait(60)
        return []

    def close(self):
        Hanging.closed += 1
        if self.config.get("at") == "death":
            Hanging.let_go.wait(60)


class Leaving(BaseHandler):
    """Ends the process, it thinks."""

    def read(self, path, context):
        if path.endswith("/interrupt"):
            raise KeyboardInterrupt
        if path.endswith("/there"):
            return b"x"
        raise SystemExit(3)

    def close(self):
        raise SystemExit(4)


class Endless(BaseHandler):
    """Lists without end."""

    told = 0

    def read(self, path, context):
        return None

    def list(self, path, context):
        while True:
            Endless.told += 1
            yield f"name-{Endless.told}"


class Odd(BaseHandler):
    """Lists what is no name, and gives what is no node."""

    def read(self, path, context):
        return Node(path, b"", synthetic_stat(Kind.FILE), None)

    def list(self, path, context):
        return ["good", "a\0b", "\ud800", "x" * 300, "note:tags", "note:tags?x=1", "a:b"]


class Through(BaseHandler):
    """Reads a note as whoever asks."""

    def read(self, path, context):
        return context.session.read("/memory/private/ann/diary").data


class Late(BaseHandler):
    """Writes after its caller has gone on."""

    contents = b"old"

    def read(self, path, context):
        return Late.contents

    def write(self, path, data, context):
        Hanging.let_go.wait(60)
        Late.contents = data


class Broken(BaseHandler):
    """Cannot say what it offers."""

    def read(self, path, context):
        return b"x"

    @classmethod
    def capabilities(cls):
        raise RuntimeError("on purpose")


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(plugins, "_in_process", {})
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(Hanging, "closed", 0)
    monkeypatch.setattr(Hanging, "let_go", threading.Event(), raising=False)
    monkeypatch.setattr(Late, "contents", b"old")
    for handler in (Counting, ForAll, Never, Hanging, Leaving, Endless, Odd, Through, Late, Broken):
        register_handler(handler.__name__.lower(), handler)
    yield
    Hanging.let_go.set()


def kernel(tmp_path: Path, *rules: ProviderRule) -> Kernel:
    return Kernel(Config(providers=rules, permissions=(PermissionRule("/**", "rw"),)), tmp_path / "avm.db")


def rule(handler: str, ttl: float | None = None, timeout: float = 0.1, **config) -> ProviderRule:
    return ProviderRule(f"/{handler}/**", handler, config, ttl, timeout, "c.yaml:3")


# --- ttl -----------------------------------------------------------------------------------------


def test_without_a_ttl_nothing_is_kept(tmp_path):
    session = kernel(tmp_path, rule("forall")).session("ann")
    assert [session.read("/forall/x").text[0] for _ in range(3)] == ["1", "2", "3"]


def test_a_ttl_keeps_one_result_for_all_agents_where_the_handler_says_so(tmp_path):
    opened = kernel(tmp_path, rule("forall", HOUR))
    ann, bob = opened.session("ann"), opened.session("bob")
    assert ann.read("/forall/x").text == bob.read("/forall/x").text == "1 ann {}"
    assert ann.read("/forall/y").text == "2 ann {}"
    assert ann.stat("/forall/x").size == len("1 ann {}")
    assert Counting.asked == 2


def test_and_one_for_each_agent_where_it_says_nothing(tmp_path):
    opened = kernel(tmp_path, rule("counting", HOUR))
    ann, bob = opened.session("ann"), opened.session("bob")
    for _ in range(2):
        assert ann.read("/counting/x").text == "1 ann {}"
        assert bob.read("/counting/x").text == "2 bob {}"


def test_and_none_where_nothing_may_be_old(tmp_path):
    session = kernel(tmp_path, rule("never", HOUR)).session("ann")
    assert [session.read("/never/x").text[0] for _ in range(2)] == ["1", "2"]


def test_a_write_makes_what_was_kept_old(tmp_path):
    session = kernel(tmp_path, rule("forall", HOUR)).session("ann")
    assert session.read("/forall/x").text[0] == session.read("/forall/x").text[0] == "1"
    session.write("/forall/other", b"")
    assert session.read("/forall/x").text[0] == "2"


def test_what_is_kept_is_judged_for_each_reader(tmp_path):
    config = Config(
        providers=(rule("forall", HOUR),), permissions=(PermissionRule("/forall/hidden/**", "none"),)
    )
    opened = Kernel(config, tmp_path / "avm.db")
    opened.session("ann").read("/forall/x")
    with pytest.raises((Denied, NotFound)):
        opened.session("ann").read("/forall/hidden/x")
    assert Counting.asked == 1


# --- hanging -------------------------------------------------------------------------------------


def test_a_handler_that_hangs_costs_no_more_than_the_deadline_and_is_tripped(tmp_path):
    session = kernel(tmp_path, rule("hanging"), rule("forall")).session("ann")
    for _ in range(4):
        with pytest.raises(
            TimedOut, match=r"the handler 'hanging' of c\.yaml:3 has not answered within 0\.1 s"
        ):
            session.read("/hanging/slow")
    with pytest.raises(PluginError, match=r"'hanging' of c\.yaml:3 is not called: 4 calls of it hang"):
        session.read("/hanging/quick")
    assert session.read("/forall/x").text[0] == "1"
    Hanging.let_go.set()
    for _ in range(500):
        try:
            assert session.read("/hanging/quick").data == b"here"
            return
        except PluginError:
            time.sleep(0.01)
    pytest.fail("it is never called again")


def test_one_that_hangs_when_it_is_made_or_listed_keeps_nobody_else_waiting(tmp_path):
    session = kernel(tmp_path, rule("hanging", at="birth"), rule("forall")).session("ann")
    with pytest.raises(TimedOut):
        session.read("/hanging/quick")
    with pytest.raises(TimedOut):
        session.list("/hanging")
    assert session.read("/forall/x").text[0] == "1"


def test_a_kernel_closes_whatever_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("vfs_core.providers._CLOSING_SECONDS", 0.1)
    opened = kernel(tmp_path, rule("hanging", at="death"))
    assert opened.session("ann").read("/hanging/quick").data == b"here"
    opened.close()
    assert Hanging.closed == 1


def test_a_handler_is_closed_once_the_last_call_is_out_of_it(tmp_path):
    opened = kernel(tmp_path, rule("hanging", timeout=30))
    session = opened.session("ann")
    assert session.read("/hanging/quick").data == b"here"
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(session.read("/hanging/slow").data))
    thread.start()
    time.sleep(0.1)
    opened.reload()
    assert Hanging.closed == 0
    Hanging.let_go.set()
    thread.join()
    assert answers == [b"here"]
    for _ in range(500):
        if Hanging.closed:
            break
        time.sleep(0.01)
    assert Hanging.closed == 1


def test_a_handler_cannot_end_the_process(tmp_path):
    with kernel(tmp_path, rule("leaving")) as opened:
        session = opened.session("ann")
        assert session.read("/leaving/there").data == b"x"
        with pytest.raises(PluginError, match="failed: SystemExit: 3"):
            session.read("/leaving/x")
        with pytest.raises(PluginError, match="failed: KeyboardInterrupt"):
            session.read("/leaving/interrupt")


def test_a_list_without_end_ends_at_the_deadline(tmp_path):
    session = kernel(tmp_path, rule("endless")).session("ann")
    with pytest.raises(TimedOut):
        session.list("/endless")
    for _ in range(500):
        told = Endless.told
        time.sleep(0.02)
        if Endless.told == told:
            return
    pytest.fail("it goes on for ever")


def test_names_that_no_path_can_have_and_nodes_that_are_none(tmp_path):
    session = kernel(tmp_path, rule("odd", timeout=30)).session("ann")
    assert [entry.name for entry in session.list("/odd")] == ["a:b", "good"]
    with pytest.raises(PluginError, match="meta_json text"):
        session.read("/odd/good")


def test_a_handler_that_cannot_say_what_it_offers_fails_alone(tmp_path):
    session = kernel(tmp_path, rule("broken", timeout=30)).session("ann")
    assert session.read("/broken/x").data == b"x"
    with pytest.raises(PluginError, match="RuntimeError: on purpose"):
        session.stat("/broken/x")
    with pytest.raises(PluginError, match="RuntimeError: on purpose"):
        session.list("/broken")


def test_what_was_read_by_an_agents_rights_is_not_kept(tmp_path):
    opened = kernel(tmp_path, rule("through", HOUR, 30))
    ann, bob = opened.session("ann"), opened.session("bob")
    ann.write("/private/diary", "secret")
    ann.share("/private/diary", "bob")
    assert bob.read("/through/x").data == b"secret"
    ann.share("/private/diary", "bob", None)
    with pytest.raises(NotFound):
        bob.read("/through/x")


def test_a_write_that_lands_late_makes_what_was_kept_old(tmp_path):
    session = kernel(tmp_path, rule("late", HOUR)).session("ann")
    with pytest.raises(TimedOut):
        session.write("/late/x", "new")
    assert session.read("/late/x").data == session.read("/late/x").data == b"old"
    Hanging.let_go.set()
    for _ in range(500):
        if session.read("/late/x").data == b"new":
            return
        time.sleep(0.01)
    pytest.fail("the old content is given for ever")


def test_a_call_that_began_before_a_reload_never_gets_anothers_handler(tmp_path):
    before = ProviderRule("/one/**", "dict-of-one", where="c.yaml:3")
    after = ProviderRule("/other/**", "counting", where="c.yaml:9")
    register_handler("dict-of-one", ForAll)
    opened = kernel(tmp_path, before)
    session = opened.session("ann")
    matched = opened.routes.match("/one/x")
    opened._given = Config(providers=(after,))
    opened.reload()
    opened.providers.read(matched, "/one/x", session, {})
    assert session.read("/other/x").text.endswith("ann {}")
    served = {str(each) for each in opened.providers._served.values()}
    assert served == {"the handler 'dict-of-one' of c.yaml:3", "the handler 'counting' of c.yaml:9"}


def test_many_that_hang_close_in_the_time_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr("vfs_core.providers._CLOSING_SECONDS", 0.2)
    rules = [ProviderRule(f"/h{number}/*", "hanging", {"at": "death"}) for number in range(10)]
    opened = kernel(tmp_path, *rules)
    session = opened.session("ann")
    for number in range(10):
        session.read(f"/h{number}/quick")
    opened.close()
    for _ in range(500):
        if Hanging.closed == 10:
            return
        time.sleep(0.01)
    pytest.fail("not all were closed")


def test_after_a_fork_the_child_calls_handlers_too(tmp_path):
    opened = kernel(tmp_path, rule("hanging", timeout=0.2), rule("forall", HOUR, 30))
    session = opened.session("ann")
    for _ in range(4):
        with pytest.raises(TimedOut):
            session.read("/hanging/slow")
    assert session.read("/forall/x").text == "1 ann {}"
    child = os.fork()
    if not child:
        status = 1
        try:
            there = session.read("/hanging/quick").data == b"here"
            status = 0 if there and session.read("/forall/x").text == "1 ann {}" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
