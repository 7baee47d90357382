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
        raise SystemExit(3)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(plugins, "_in_process", {})
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(Hanging, "closed", 0)
    monkeypatch.setattr(Hanging, "let_go", threading.Event(), raising=False)
    for handler in (Counting, ForAll, Never, Hanging, Leaving):
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
    session = kernel(tmp_path, rule("leaving")).session("ann")
    with pytest.raises(PluginError, match="failed: SystemExit: 3"):
        session.read("/leaving/x")


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
