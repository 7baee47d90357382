"""What is said of handlers at `/.avm/handlers/NAME`."""

from pathlib import Path

import pytest

from avm import AVM, BaseHandler, register_handler
from avm.errors import Denied, NotFound, ReadOnly
from avm_handlers.skills import SkillsHandler
from vfs_core import plugins
from vfs_core.config import Config, PluginSettings, ProviderRule
from vfs_core.handler import Context
from vfs_core.hookspecs import hookimpl
from vfs_core.kernel import Kernel
from vfs_core.specs import HandlerSpec
from vfs_core.testing import HandlerTests
from vfs_core.types import Principal


class Redis(BaseHandler):
    """Keys of a server. Read one as /redis/KEY."""

    def read(self, path, context):
        return None

    def list(self, path, context):
        return []


class TestSkillsHandler(HandlerTests):
    @pytest.fixture
    def handler(self):
        return SkillsHandler()

    @pytest.fixture
    def present(self):
        return (
            "/.avm/handlers/redis",
            b"# redis\n\nKeys of a server. Read one as /redis/KEY.\n\nIt can: read, list.\n",
        )

    @pytest.fixture
    def absent(self):
        return "/.avm/handlers/nothing"

    @pytest.fixture
    def make_context(self, tmp_path):
        kernel = Kernel(Config(), tmp_path / "avm.db")
        prefix = "/.avm/handlers"
        return lambda path: Context(
            Principal("akashi", "founder"), kernel.session("akashi"), relative=path[len(prefix) :].strip("/")
        )


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(plugins, "_in_process", {})
    register_handler("redis", Redis)


def test_it_says_what_a_handler_is_for_and_can_and_serves(tmp_path: Path):
    avm = AVM(db=tmp_path / "avm.db", providers=[{"pattern": "/redis/{key}", "handler": "redis"}])
    assert avm.read("/.avm/handlers/redis").text == (
        "# redis\n\nKeys of a server. Read one as /redis/KEY.\n\nIt can: read, list.\n\nIt serves: `/redis/{key}`.\n"
    )
    assert "- `root` (string), required: the directory in the store" in avm.read("/.avm/handlers/memory").text
    assert {"memory", "redis", "skills"} <= {entry.name for entry in avm.list("/.avm/handlers")}


def test_it_can_be_entered_and_is_not_listed(tmp_path: Path):
    avm = AVM(db=tmp_path / "avm.db")
    avm.write("/memory/a", "x")
    assert [entry.name for entry in avm.list("/")] == ["memory"]
    assert [entry.name for entry in avm.list("/.avm")] == ["handlers"]
    with pytest.raises((Denied, ReadOnly)):
        avm.write("/.avm/handlers/memory", "x")
    with pytest.raises(NotFound):
        avm.read("/.avm/handlers/nothing")


def test_a_handler_that_cannot_be_used_is_described_with_the_cause(tmp_path, monkeypatch):
    class Module:
        @staticmethod
        @hookimpl
        def avm_register_handlers():
            return [
                HandlerSpec(
                    "lost", "no_such_package.at_all:Handler", "Is not there", requires="pip install lost"
                )
            ]

    monkeypatch.setitem(__import__("sys").modules, "lost_plugin", Module)
    kernel = Kernel(Config(plugins=PluginSettings(load=("lost_plugin",))), tmp_path / "avm.db")
    text = kernel.session("akashi").read("/.avm/handlers/lost").text
    assert text.startswith("# lost\n\nIs not there.\n\nIt cannot be used: ")
    assert "'lost' of the plugin 'lost_plugin' cannot be used: ModuleNotFoundError" in text


def test_a_rule_of_the_configuration_comes_before_it(tmp_path):
    rule = ProviderRule("/.avm/**", "redis")
    kernel = Kernel(Config(providers=(rule,)), tmp_path / "avm.db")
    with pytest.raises(NotFound):
        kernel.session("akashi").read("/.avm/handlers/memory")
    assert kernel.config.warnings == ()
