"""The `plugin` handler: what may be named, how it is called, and that a broken one fails alone with its cause."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avm_handlers.plugin import PluginHandler
from vfs_core.errors import ConfigError, Invalid, NotFound, PluginError, ReadOnly, TimedOut, Unsupported
from vfs_core.handler import BaseHandler, Capabilities, Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing import HandlerTests

Module = Callable[..., str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Writes a module of a name that no other test has, where it is found; returns the name."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    made: list[str] = []

    def write(source: str) -> str:
        made.append(f"plugin_{tmp_path.name}_{len(made)}".replace("-", "_"))
        (folder / f"{made[-1]}.py").write_text(textwrap.dedent(source))
        return made[-1]

    yield write
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in made:
            del sys.modules[name]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """A session with a handler `plugin` at /p/**, from a file as a user writes it."""
    kernels: list[Kernel] = []

    def open_session(plugin: str, more: str = "", access: str = "rw") -> Session:
        file = tmp_path / "config.yaml"
        file.write_text(
            f"providers:\n  - pattern: '/p/**'\n    handler: plugin\n    config:\n      plugin: {plugin}\n{more}"
            f"permissions: [{{pattern: '/**', access: {access}}}]\n"
        )
        kernels.append(Kernel(file, tmp_path / "avm.db"))
        return kernels[-1].session("akashi")

    yield open_session
    for kernel in kernels:
        kernel.close()


KEPT = """
    contents = {"/dir/here": b"teddy\\0\\xff"}
    def read(path, context):
        return contents.get(path)
    def write(path, data, context):
        contents[path] = data
    def list(path):
        return [name.rpartition("/")[2] for name in contents if name.rpartition("/")[0] == path]
    def delete(path):
        if path not in contents:
            from vfs_core.errors import NotFound
            raise NotFound.at(path)
        del contents[path]
    def rename(old, new, context):
        if old not in contents:
            from vfs_core.errors import NotFound
            raise NotFound.at(old)
        contents[new] = contents.pop(old)
"""


class TestAModule(HandlerTests):
    @pytest.fixture
    def handler(self, module: Module) -> BaseHandler:
        return PluginHandler({"plugin": module(KEPT)})

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/dir/here", b"teddy\0\xff"

    @pytest.fixture
    def absent(self) -> str:
        return "/dir/absent"

    def test_it_offers_what_it_has(self, offers: Capabilities):
        assert offers == Capabilities(write=True, list=True, delete=True, rename=True)


class TestAModuleThatOnlyReads(TestAModule):
    @pytest.fixture
    def handler(self, module: Module) -> BaseHandler:
        return PluginHandler(
            {"plugin": module("def read(path): return b'teddy\\0\\xff' if path == '/dir/here' else None")}
        )

    def test_it_offers_what_it_has(self, offers: Capabilities):
        assert offers == Capabilities()


class TestASubclassOfBaseHandler(TestAModule):
    @pytest.fixture
    def handler(self, module: Module) -> BaseHandler:
        name = module("""
            import threading
            from vfs_core.handler import BaseHandler
            class Kept(BaseHandler):
                def __init__(self, config):
                    super().__init__(config)
                    self.contents = {"/dir/here": self.config["text"].encode("latin-1")}
                    self.lock = threading.Lock()
                def read(self, path, context):
                    return self.contents.get(path)
                def append(self, path, data, context):
                    with self.lock:
                        self.contents[path] = self.contents.get(path, b"") + data
                    assert context.principal.agent == "akashi"
        """)
        return PluginHandler({"plugin": f"{name}:Kept", "config": {"text": "teddy\0\xff"}})

    def test_it_offers_what_it_has(self, offers: Capabilities):
        assert offers == Capabilities(append=True)


# --- the seed's example --------------------------------------------------------------------------


def test_a_module_serves_as_in_the_projects_description(opened, module: Module):
    name = module("""
        def read(path, context):
            return f"{path} for {context.principal.agent}: {context.relative}"
    """)
    session = opened(name, access="ro")
    assert session.read("/p/RSI/NVDA").text == "/p/RSI/NVDA for akashi: RSI/NVDA"
    assert session.stat("/p/RSI").size == len("/p/RSI for akashi: RSI")
    assert session.list("/p") == []


def test_a_module_of_a_package_and_an_object_in_a_module_are_named_too(
    opened, tmp_path: Path, module: Module
):
    top = module("")
    package = tmp_path / "plugins" / f"{top}_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(
        "class Outer:\n"
        "    class Inner:\n"
        "        def __init__(self, config=None): self.config = config\n"
        "        def read(self, path): return str(self.config)\n"
        "made = Outer.Inner('shared')\n"
        "def read(path): return 'module'\n"
    )
    for attribute, text in (("", "module"), (":Outer.Inner", "None"), (":made", "shared")):
        assert opened(f"'{top}_package.inner{attribute}'").read("/p/a").text == text
    assert (
        opened(f"'{top}_package.inner:Outer.Inner'", "      config: {a: 1}\n").read("/p/a").text == "{'a': 1}"
    )


def test_what_is_made_for_a_rule_is_made_once_and_closed_with_it(opened, module: Module):
    name = module("""
        closed = []
        class Made:
            def read(self, path): return str(id(self))
            def close(self): closed.append(self)
        shared = Made()
        def read(path): return "module"
        def close(): closed.append("module")
    """)
    for plugin, count in ((f"{name}:Made", 1), (f"{name}:shared", 1), (name, 1)):
        session = opened(f"'{plugin}'")
        assert session.read("/p/a").data == session.read("/p/b").data
        session.kernel.close()
        assert len(sys.modules[name].closed) == count


def test_parameters_of_the_pattern_in_the_config_of_a_class_are_filled_by_it(tmp_path: Path, module: Module):
    name = module("""
        class Greet:
            def __init__(self, config): self.config = config
            def read(self, path, context): return self.config["text"].fill(context.parameters, {})
    """)
    file = tmp_path / "c.yaml"
    file.write_text(
        "providers: [{pattern: '/p/{who}', handler: plugin, "
        f"config: {{plugin: '{name}:Greet', config: {{text: 'hello ${{who}}'}}}}}}]\n"
    )
    with Kernel(file, tmp_path / "avm.db") as kernel:
        assert kernel.session("akashi").read("/p/ann").text == "hello ann"
        assert kernel.session("akashi").read("/p/${who}").text == "hello ${who}"


# --- how functions are called --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("def read(path): return path", "/p/a"),
        ("def read(p, /, ctx): return ctx.relative", "a"),
        ("def read(path, context=None): return context.relative", "a"),
        ("def read(path, encoding='utf-8'): return encoding", "utf-8"),
        ("def read(*args): return args[1].relative", "a"),
        ("def read(path, *rest): return rest[0].relative", "a"),
        ("read = lambda path, *, fast=True: str(fast)", "True"),
        ("import functools\nread = functools.partial(lambda x, path: x + path, 'x')", "x/p/a"),
        ("class R:\n    def __call__(self, path, context): return context.relative\nread = R()", "a"),
    ],
)
def test_read_gets_the_context_where_it_takes_it(opened, module: Module, source: str, answer: str):
    assert opened(module(source)).read("/p/a").text == answer


@pytest.mark.parametrize(
    "source",
    [
        "def read(): return ''",
        "def read(path, context, more): return ''",
        "def read(path, *, key): return ''",
        "async def read(path, context): return ''",
    ],
)
def test_a_read_that_cannot_be_called_is_refused_and_told_how_it_should_be(
    opened, module: Module, source: str
):
    with pytest.raises(PluginError, match=r"its read.*called as read\(path, context\), or as read\(path\)"):
        opened(module(source)).read("/p/a")


def test_all_of_the_contract_reaches_a_plugin(opened, module: Module):
    name = module("""
        from vfs_core.providers import synthetic_stat
        from vfs_core.types import Kind
        calls = []
        def read(path): return "x"
        def write(path, data): calls.append(("write", path, data))
        def append(path, data, context): calls.append(("append", path, data))
        def list(path): yield "sub/"
        def stat(path): return synthetic_stat(Kind.FILE, 77)
        def delete(path): calls.append(("delete", path))
        def rename(old, new): calls.append(("rename", old, new))
    """)
    session = opened(name)
    session.write("/p/a", "1")
    session.append("/p/a", "2")
    session.rename("/p/a", "/p/b")
    session.delete("/p/b")
    assert session.stat("/p/a").size == 77
    assert [(entry.name, entry.is_directory) for entry in session.list("/p")] == [("sub", True)]
    assert sys.modules[name].calls == [
        ("write", "/p/a", b"1"),
        ("append", "/p/a", b"2"),
        ("rename", "/p/a", "/p/b"),
        ("delete", "/p/b"),
    ]


def test_what_a_module_has_only_imported_it_does_not_offer(opened, module: Module, tmp_path: Path):
    """`os.rename` would move what is on the disk."""
    (tmp_path / "real").write_text("x")
    name = module("from os import rename, stat, write\nimport stat as delete\ndef read(path): return 'x'\n")
    session = opened(name)
    for attempt in (lambda: session.rename("/p/a", "/p/b"), lambda: session.write("/p/a", "x")):
        with pytest.raises((ReadOnly, Unsupported)):
            attempt()
    handler = PluginHandler({"plugin": name})
    assert handler.capabilities() == Capabilities()
    with pytest.raises(Unsupported):
        handler.rename(str(tmp_path / "real"), str(tmp_path / "moved"), None)  # type: ignore[arg-type]
    assert (tmp_path / "real").exists()


def test_what_is_absent_is_refused_as_by_every_handler(opened, module: Module):
    session = opened(module("def read(path): return None"))
    with pytest.raises(ReadOnly, match=r"^/p/a: this path is read-only \(its handler does not write\)$"):
        session.write("/p/a", "x")
    with pytest.raises(Unsupported, match="cannot append"):
        session.append("/p/a", "x")
    with pytest.raises(ReadOnly, match="does not delete"):
        session.delete("/p/a")
    with pytest.raises(NotFound):
        session.read("/p/a")


# --- what is broken ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise ValueError('out of order')", r"ValueError: out of order \(.*plugin_.*\.py:1\)"),
        ("\n\nimport nowhere_to_be_found", r"No module named 'nowhere_to_be_found' \(.*plugin_.*\.py:3\)"),
        ("raise SystemExit(3)", r"SystemExit: 3 \(.*\.py:1\)"),
        ("import sys; sys.exit()", r"SystemExit \(.*\.py:1\)"),
        ("def read(path: return", r"SyntaxError: .*plugin_.*line 1"),
        ("raise KeyError", "KeyError"),
        ("from vfs_core.errors import NotFound\nraise NotFound('x')", "NotFound: x"),
        ("import importlib\nimportlib.import_module(__name__ + '.deeper')", "is not a package"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why_and_where(opened, module: Module, source: str, cause: str):
    name = module(source)
    session = opened(name)
    for _ in range(2):
        with pytest.raises(PluginError, match=rf"(?s)the plugin '{name}' cannot be imported: .*{cause}"):
            session.read("/p/a")
    session.write("/memory/a", "the rest works")
    assert session.read("/memory/a").text == "the rest works"


@pytest.mark.parametrize("name", ["nowhere_at_all", "nowhere_at_all.deeper", "json.nowhere_at_all"])
def test_a_module_that_is_not_there_is_named_with_what_to_do(opened, name: str):
    missing = "json.nowhere_at_all" if name.startswith("json") else "nowhere_at_all"
    with pytest.raises(
        PluginError, match=f"there is no module '{missing}' on Python's path; install it, or add"
    ):
        opened(name).read("/p/a")


def test_a_module_that_has_been_mended_works_without_a_restart(opened, module: Module, tmp_path: Path):
    name = module("raise ValueError")
    session = opened(name)
    with pytest.raises(PluginError):
        session.read("/p/a")
    (tmp_path / "plugins" / f"{name}.py").write_text("def read(path): return 'mended, and of another length'")
    assert session.read("/p/a").text.startswith("mended")


@pytest.mark.parametrize(
    ("plugin", "cause"),
    [
        ("json", "the module json has no function 'read'"),
        ("json:nothing", "json has no 'nothing'"),
        ("json:JSONDecoder.nothing.deeper", "json has no 'JSONDecoder.nothing.deeper'"),
        ("json:JSONDecoder", "the class JSONDecoder has no function 'read'"),
        ("json:__name__", "the str has no function 'read'"),
        (".relative", "cannot be imported: TypeError"),
        ("a..b", "cannot be imported: there is no module 'a'"),
        (" ", "cannot be imported: "),
    ],
)
def test_what_has_no_read_is_refused_by_name(opened, plugin: str, cause: str):
    with pytest.raises(PluginError, match=cause):
        opened(f"'{plugin}'").read("/p/a")


@pytest.mark.parametrize("plugin", ["''", "':x'", "'json:'", "'json:a:b'", "7", "null"])
def test_what_is_no_name_is_refused_with_the_line(opened, plugin: str):
    with pytest.raises(ConfigError, match=r"config\.yaml:5: providers\[0\]\.config\.plugin"):
        opened(plugin)


@pytest.mark.parametrize("config", [{}, {"plugin": ""}, {"plugin": 7}, {"plugin": "json", "config": 7}])
def test_a_config_that_nobody_has_checked_is_refused(config: dict):
    with pytest.raises(Invalid, match="the handler 'plugin'"):
        PluginHandler(config)


def test_no_parameter_chooses_the_plugin(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("providers: [{pattern: '/p/{name}', handler: plugin, config: {plugin: '${name}'}}]\n")
    with Kernel(file, tmp_path / "avm.db") as kernel, pytest.raises(Invalid, match="names no parameters"):
        kernel.session("akashi").read("/p/json")


def test_a_config_that_nobody_would_read_is_refused(opened, module: Module):
    name = module("def read(path): return 'x'")
    with pytest.raises(Invalid, match=rf"takes no config\.config: the module {name} is not a class"):
        opened(name, "      config: {a: 1}\n").read("/p/a")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise KeyError('price')", r"failed in read\('/p/a'\): KeyError: 'price' \(.*plugin_.*\.py:2\)"),
        ("raise SystemExit('bye')", r"failed in read\('/p/a'\): SystemExit: bye"),
        ("import os, sys; sys.exit(4)", r"failed in read\('/p/a'\): SystemExit: 4"),
        ("return read(path)", "RecursionError"),
        ("return {'a': 1}", "returned dict"),
    ],
)
def test_a_read_that_fails_names_the_plugin_and_the_line(opened, module: Module, body: str, cause: str):
    session = opened(module(f"def read(path):\n    {body}"))
    with pytest.raises(PluginError, match=cause):
        session.read("/p/a")
    session.write("/memory/a", "the rest works")


def test_errors_of_our_tree_come_through(opened, module: Module):
    name = module("from avm.errors import TimedOut\ndef read(path): raise TimedOut('the exchange is slow')")
    with pytest.raises(TimedOut, match=r"^the exchange is slow$"):
        opened(name).read("/p/a")


@pytest.mark.parametrize(
    "source",
    [
        "class P:\n    def __init__(self): raise OSError('no server')\n    def read(self, path): return ''",
        "class P:\n    def __init__(self, config): pass\n    def read(self, path): return ''",
        "from vfs_core.handler import BaseHandler\nclass P(BaseHandler):\n    pass",
        "class P:\n    def __init__(self): raise SystemExit\n    def read(self, path): return ''",
    ],
)
def test_a_class_that_cannot_be_made_says_why(opened, module: Module, source: str):
    name = module(source)
    with pytest.raises(
        PluginError, match=rf"the plugin '{name}:P' cannot be used: (OSError|TypeError|SystemExit)"
    ):
        opened(f"'{name}:P'").read("/p/a")


def test_a_listing_that_fails_halfway_is_contained(opened, module: Module):
    name = module("def read(path): return ''\ndef list(path):\n    yield 'a'\n    raise SystemExit")
    with pytest.raises(PluginError, match=r"failed in list\('/p'\): SystemExit"):
        opened(name).list("/p")


def test_of_the_class_it_is_said_what_a_plugin_may_offer():
    assert PluginHandler.capabilities() == Capabilities(*[True] * 6)


def test_the_context_is_the_requests_own(opened, module: Module):
    name = module("seen = []\ndef read(path, context):\n    seen.append(context)\n    return 'x'")
    opened(name).read("/p/a/b")
    (context,) = sys.modules[name].seen
    assert isinstance(context, Context)
    assert (context.relative, context.principal.agent) == ("a/b", "akashi")
