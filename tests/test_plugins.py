"""Plugins are collected once, kept apart, named when they fail, and imported when they are used."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from avm import AVM, BaseHandler, BaseSuffix, register_handler, register_suffix
from avm.errors import Invalid, MissingExtra, NotFound, PluginError, VfsError
from vfs_core import plugins
from vfs_core.config import Config, PluginSettings, ProviderRule
from vfs_core.kernel import Kernel
from vfs_core.plugins import HOOKS, Registry

HEAD = """
from vfs_core.hookspecs import hookimpl
from vfs_core.specs import *
"""

GOOD = """
@hookimpl
def avm_register_handlers():
    return [HandlerSpec("greet", "good_target:Greet", "Greets whoever is named")]
"""

TARGET = """
from vfs_core.handler import BaseHandler
class Greet(BaseHandler):
    def read(self, path, context):
        return f"hello {context.parameters['name']}"
"""

OWN = Registry().names("handler")
"""The handlers that AVM comes with."""

Module = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers in this process ends with it."""
    monkeypatch.setattr(plugins, "_in_process", {})


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Makes an importable module, forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, source: str) -> None:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(HEAD + textwrap.dedent(source))
        monkeypatch.setitem(sys.modules, name, sys)  # so that it is taken out again
        del sys.modules[name]

    return make


@pytest.fixture
def good(module: Module) -> str:
    """A plugin that works."""
    module("good", GOOD)
    module("good_target", TARGET)
    return "good"


def info(registry: Registry, name: str) -> plugins.PluginInfo:
    return next(each for each in registry.plugins() if each.name == name)


def kernel_with(*load: str, **settings: tuple[str, ...]) -> Config:
    rule = ProviderRule("/greet/{name}", "greet")
    return Config(providers=(rule,), plugins=PluginSettings(load=load, **settings))


# --- one that works ------------------------------------------------------------------------------


def test_what_a_module_registers_can_be_used(good: str, tmp_path: Path):
    with Kernel(kernel_with(good), tmp_path / "avm.db") as kernel:
        assert kernel.session().read("/greet/akashi").text == "hello akashi"
        assert info(kernel.registry, "good") == plugins.PluginInfo(
            "good", "plugins.load in the configuration", ("handler greet",)
        )


def test_a_module_named_in_the_configuration_file_is_loaded(good: str, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text('plugins: {load: [good]}\nproviders: [{pattern: "/greet/{name}", handler: greet}]\n')
    with AVM(config=file, db=tmp_path / "avm.db") as memory:
        assert memory.read("/greet/akashi").text == "hello akashi"


def test_a_distribution_registers_by_entry_point_and_is_named_with_its_version(good: str, tmp_path: Path):
    dist = tmp_path / "avm_greet-1.2.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: avm-greet\nVersion: 1.2\n")
    (dist / "entry_points.txt").write_text("[avm]\ngreeting = good\n")
    registry = Registry()
    assert info(registry, "greeting").source == "entry point of avm-greet 1.2"
    assert info(registry, "greeting").supplies == ("handler greet",)
    assert registry.names("handler") == (*OWN, "greet"), "AVM's own come first"


def test_avms_own_plugins_are_there_and_work():
    registry = Registry()
    assert registry.failures() == ()
    assert {"builtin", "handlers", "suffixes", "discovery"} <= {each.name for each in registry.plugins()}
    for kind in HOOKS:
        for name in registry.names(kind):
            assert registry.load(kind, name) is not None


def test_functions_without_hookimpl_are_not_called(module: Module):
    module("plain", "def avm_register_handlers(): raise RuntimeError('called')")
    registry = Registry(["plain"])
    assert (info(registry, "plain").supplies, registry.failures()) == ((), ())


# --- laziness ------------------------------------------------------------------------------------


def test_a_target_is_not_imported_until_it_is_used(good: str, tmp_path: Path):
    with Kernel(kernel_with(good), tmp_path / "avm.db") as kernel:
        session = kernel.session()
        session.write("/memory/a", "x")
        session.list("/")
        assert "good" in sys.modules
        assert "good_target" not in sys.modules
        session.read("/greet/akashi")
        assert "good_target" in sys.modules


def test_a_target_is_imported_once(good: str):
    registry = Registry([good])
    assert registry.load("handler", "greet") is registry.load("handler", "greet")


def test_collecting_imports_nothing_heavy():
    code = """
import sys
from vfs_core.plugins import Registry, heavy_modules
registry = Registry()
own = [name for name in sys.modules if name.startswith("avm_")]
data = ("avm_builtin.embedders", "avm_builtin.embedders.catalogue")
own = [name for name in own if "cli" not in name and "frontends" not in name and name not in data]
print(heavy_modules(), sorted(own))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['avm_builtin', 'avm_discovery', 'avm_handlers', 'avm_suffixes']"


# --- those that fail -----------------------------------------------------------------------------

FAILING = {
    "raises at import": (
        "raise RuntimeError('no licence')",
        "importing bad failed: RuntimeError: no licence",
    ),
    "leaves at import": ("import sys; sys.exit('bye')", "importing bad failed: SystemExit: bye"),
    "is not Python": ("def (", "importing bad failed: SyntaxError"),
    "needs what is not there": (
        "import no_such_module",
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "raises when it registers": (
        "@hookimpl\ndef avm_register_handlers(): raise KeyError('x')",
        "avm_register_handlers: KeyError: 'x'",
    ),
    "registers what is no spec": (
        "@hookimpl\ndef avm_register_handlers(): return ['redis']",
        "avm_register_handlers: PluginError: 'redis' is not a HandlerSpec",
    ),
    "registers a spec of another kind": (
        "@hookimpl\ndef avm_register_handlers(): return [SuffixSpec('x', 'y:z')]",
        "is not a HandlerSpec",
    ),
    "registers a bare spec": (
        "@hookimpl\ndef avm_register_handlers(): return [Spec('x', 'y:z')]",
        "is not a HandlerSpec",
    ),
    "returns nothing": ("@hookimpl\ndef avm_register_handlers(): pass", "avm_register_handlers: TypeError"),
    "takes a name that is taken": (
        "@hookimpl\ndef avm_register_handlers(): return [HandlerSpec('memory', 'y:z')]",
        "the handler 'memory' is supplied by handlers already; rename it, disable one of the two under "
        "plugins.disable, or allow it under plugins.override",
    ),
    "has a hook of another signature": (
        "@hookimpl\ndef avm_register_handlers(registry): return []",
        "hook 'avm_register_handlers'",
    ),
    "implements a hook that there is not": (
        "@hookimpl\ndef avm_register_nonsense(): return []",
        "unknown hook 'avm_register_nonsense'",
    ),
}


@pytest.mark.parametrize(("source", "cause"), FAILING.values(), ids=FAILING)
def test_a_plugin_that_fails_is_named_with_its_cause_and_everything_else_works(
    module: Module, good: str, tmp_path: Path, source: str, cause: str
):
    module("bad", source)
    with Kernel(kernel_with("bad", good), tmp_path / "avm.db") as kernel:
        failed = kernel.registry.failures()
        assert [each.name for each in failed] == ["bad"]
        assert cause in failed[0].failure
        assert failed[0].supplies == ()
        session = kernel.session()
        session.write("/memory/a.md", "quokka")
        assert session.read("/memory/a.md:data").text == "quokka"
        assert [hit.path for hit in session.search("quokka")] == ["/memory/a.md"]
        assert session.read("/greet/akashi").text == "hello akashi"


@pytest.mark.parametrize("order", [("bad", "good"), ("good", "bad")])
def test_a_bad_plugin_does_no_harm_wherever_it_stands(module: Module, good: str, order: tuple[str, ...]):
    for source, _ in FAILING.values():
        module("bad", source)
        registry = Registry(order)
        assert [each.name for each in registry.failures()] == ["bad"]
        assert registry.names("handler") == (*OWN, "greet")
        assert set(registry.names("suffix")) == set(Registry().names("suffix"))


def test_using_what_a_failed_plugin_would_supply_names_plugin_and_cause(module: Module, tmp_path: Path):
    module("bad", "raise RuntimeError('no licence')")
    with Kernel(kernel_with("bad"), tmp_path / "avm.db") as kernel:
        assert any("greet" in str(warning) for warning in kernel.config.warnings)
        with pytest.raises(
            PluginError, match=rf"no handler named 'greet' \(there are: {', '.join(OWN)}\).*bad: .*no licence"
        ):
            kernel.session().read("/greet/akashi")


def test_what_it_had_registered_before_it_failed_counts(module: Module):
    module(
        "half",
        """
        @hookimpl
        def avm_register_handlers():
            return [HandlerSpec("one", "x:Y"), HandlerSpec("memory", "x:Y"), HandlerSpec("three", "x:Y")]

        @hookimpl
        def avm_register_suffixes():
            return [SuffixSpec("four", "x:Y")]

        @hookimpl
        def avm_register_search():
            raise RuntimeError("later")
        """,
    )
    registry = Registry(["half"])
    half = info(registry, "half")
    assert half.supplies == ("handler one", "suffix four")
    assert "the handler 'memory' is supplied by handlers already" in half.failure
    assert "avm_register_search: RuntimeError: later" in half.failure, "the second failure is told as well"
    assert registry.names("handler") == (*OWN, "one")


def test_the_same_module_twice_does_not_take_the_first_away(good: str):
    registry = Registry([good, good])
    assert registry.names("handler") == (*OWN, "greet")
    assert [each.failure for each in registry.plugins() if each.name == "good"] == [
        "",
        "there is a plugin of this name already (plugins.load in the configuration)",
    ]


def test_a_plugin_that_takes_the_name_of_a_built_in_one_does_not_take_it_away(module: Module, tmp_path: Path):
    module("impostor", GOOD)
    dist = tmp_path / "impostor-0.1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: impostor\nVersion: 0.1\n")
    (dist / "entry_points.txt").write_text("[avm]\nbuiltin = impostor\n")
    registry = Registry()
    assert registry.names("store") == ("sqlite",)
    assert [(each.source, "of this name already" in each.failure) for each in registry.failures()] == [
        ("entry point of impostor 0.1", True)
    ]


# --- targets that fail ---------------------------------------------------------------------------


def spec(module: Module, target: str, requires: str = "") -> Registry:
    module(
        "lazy",
        f"@hookimpl\ndef avm_register_handlers(): return [HandlerSpec('lazy', {target!r}, requires={requires!r})]",
    )
    return Registry(["lazy"])


def test_a_missing_extra_says_what_to_type(module: Module):
    module("lazy_target", "import no_such_module.part")
    with pytest.raises(
        MissingExtra,
        match=r"the handler 'lazy' needs no_such_module, which is not installed; type: pip install 'avm\[http\]'",
    ):
        spec(module, "lazy_target:Handler", "pip install 'avm[http]'").load("handler", "lazy")


def test_a_target_whose_own_module_is_missing_is_no_missing_extra(module: Module):
    for target in ("lazy_target:Handler", "lazy_target.part:Handler"):
        with pytest.raises(
            PluginError, match="the handler 'lazy' of the plugin 'lazy' cannot be used"
        ) as caught:
            spec(module, target, "pip install 'avm[http]'").load("handler", "lazy")
        assert not isinstance(caught.value, MissingExtra)


@pytest.mark.parametrize(
    ("source", "target", "cause"),
    [
        ("raise RuntimeError('boom')", "lazy_target:Handler", "RuntimeError: boom"),
        ("", "lazy_target:Handler", "AttributeError"),
        ("", "lazy_target", "AttributeError"),
        ("import no_such_module", "lazy_target:Handler", "No module named 'no_such_module'"),
    ],
)
def test_a_broken_target_names_what_plugin_and_why(module: Module, source: str, target: str, cause: str):
    module("lazy_target", source)
    with pytest.raises(
        PluginError, match=f"^the handler 'lazy' of the plugin 'lazy' cannot be used: .*{cause}"
    ):
        spec(module, target).load("handler", "lazy")


def test_a_target_that_is_no_handler_fails_alone_and_is_named(module: Module, good: str, tmp_path: Path):
    module("lazy_target", "class Duck:\n    def read(self, path, context): return 'quack'")
    spec(module, "lazy_target:Duck")
    config = Config(
        providers=(
            ProviderRule("/duck/{x}", "lazy", where="c.yaml:7"),
            ProviderRule("/greet/{name}", "greet"),
        ),
        plugins=PluginSettings(load=("lazy", good)),
    )
    with Kernel(config, tmp_path / "avm.db") as kernel:
        session = kernel.session()
        for use in (session.read, session.stat, lambda path: session.list("/duck")):
            with pytest.raises(PluginError, match=r"'lazy' of c\.yaml:7 .*not a subclass of BaseHandler"):
                use("/duck/x")
        assert session.read("/greet/akashi").text == "hello akashi"


SUFFIX_TARGETS = {
    "raises when it is made": (
        "class S(BaseSuffix):\n def __init__(self): 1 / 0\n read = None",
        "cannot be made",
    ),
    "is no suffix": ("class S:\n def read(self, context): return 'x'", "not a subclass of BaseSuffix"),
    "raises when it is read": (
        "class S(BaseSuffix):\n def read(self, context): 1 / 0",
        "failed: ZeroDivisionError",
    ),
    "gives what is no text": ("class S(BaseSuffix):\n def read(self, context): return 7", "returned int"),
    "gives no text that can be encoded": (
        "class S(BaseSuffix):\n def read(self, context): return '\\ud800'",
        "not valid Unicode",
    ),
}


@pytest.mark.parametrize(("source", "cause"), SUFFIX_TARGETS.values(), ids=SUFFIX_TARGETS)
def test_a_broken_suffix_fails_alone_and_is_named(module: Module, tmp_path: Path, source: str, cause: str):
    module(
        "suffixed",
        "@hookimpl\ndef avm_register_suffixes(): return [SuffixSpec('odd', 'suffix_target:S', 'Odd')]",
    )
    module("suffix_target", "from vfs_core.suffix import BaseSuffix\n" + source)
    with Kernel(Config(plugins=PluginSettings(load=("suffixed",))), tmp_path / "avm.db") as kernel:
        session = kernel.session()
        session.write("/memory/a.md", "x", {"tags": ["t"]})
        with pytest.raises(VfsError, match=cause):
            session.read("/memory/a.md:odd")
        assert session.read("/memory/a.md:tags").text == "t\n"
        assert ":odd\t" in session.read("/memory/a.md:info").text


# --- switching off, replacing --------------------------------------------------------------------


def test_a_plugin_is_disabled_by_name_and_not_even_imported(good: str):
    registry = Registry([good], disable=[good])
    assert info(registry, "good").disabled
    assert "good" not in sys.modules
    assert registry.names("handler") == OWN
    with pytest.raises(PluginError, match=r"no handler named 'greet'.*disabled in the configuration: good"):
        registry.load("handler", "greet")


def test_a_built_in_plugin_can_be_disabled(tmp_path: Path):
    with Kernel(Config(plugins=PluginSettings(disable=("suffixes",))), tmp_path / "avm.db") as kernel:
        session = kernel.session()
        session.write("/memory/a.md:tags", "a file of that name")
        assert session.read("/memory/a.md:tags").text == "a file of that name"


REPLACEMENT = """
class Handler(BaseHandler):
    def read(self, path, context): return "another memory"

@hookimpl
def avm_register_handlers(): return [HandlerSpec("memory", Handler)]
"""


def test_a_name_is_replaced_only_where_the_configuration_says_so(module: Module):
    module("another", "from vfs_core.handler import BaseHandler\n" + REPLACEMENT)
    refused = Registry(["another"])
    assert refused.load("handler", "memory").__module__ == "avm_handlers.memory"
    allowed = Registry(["another"], override=["memory"])
    assert allowed.failures() == ()
    assert allowed.load("handler", "memory").__module__ == "another"


# --- in this process -----------------------------------------------------------------------------


class Clock(BaseHandler):
    """Tells the time."""

    def read(self, path, context):
        return "noon"


class Other(BaseHandler):
    def read(self, path, context):
        return "midnight"


class Shout(BaseSuffix):
    """In capitals."""

    def read(self, context):
        return context.node().text.upper()


def test_the_seeds_example_works(tmp_path: Path):
    class RedisHandler(BaseHandler):
        redis = {"/redis/key": "value"}  # noqa: RUF012

        def read(self, path, context):
            return self.redis.get(path)

    register_handler("redis", RedisHandler)
    with AVM(db=tmp_path / "a.db", providers=[{"pattern": "/redis/{key}", "handler": "redis"}]) as memory:
        assert memory.read("/redis/key").text == "value"
        with pytest.raises(NotFound):
            memory.read("/redis/no")


def test_every_kernel_opened_later_knows_what_was_registered(tmp_path: Path):
    with Kernel(None, tmp_path / "a.db") as before:
        register_handler("clock", Clock)
        register_suffix("shout", Shout)
        assert "clock" not in before.registry.handlers()
        for name in ("a", "b"):
            with Kernel(None, tmp_path / f"{name}.db", [ProviderRule("/now", "clock")]) as kernel:
                session = kernel.session()
                session.write("/memory/x", "quiet")
                assert session.read("/now").text == "noon"
                assert session.read("/memory/x:shout").text == "QUIET"
                assert info(kernel.registry, "clock").source == "registered in this process"
        before.reload()
        assert "clock" in before.registry.handlers()


def test_registering_the_same_again_is_fine_and_another_under_its_name_is_not():
    register_handler("clock", Clock)
    register_handler("clock", Clock)
    with pytest.raises(PluginError, match="a handler named 'clock' is registered already in this process"):
        register_handler("clock", Other)
    assert Registry().load("handler", "clock") is Clock
    register_handler("clock", Other, override=True)
    assert Registry().load("handler", "clock") is Other


def test_a_built_in_name_is_replaced_only_with_override():
    register_handler("memory", Clock)
    registry = Registry()
    assert registry.load("handler", "memory") is not Clock
    assert "supplied by handlers already" in info(registry, "memory").failure
    register_handler("memory", Clock, override=True)
    registry = Registry()
    assert registry.load("handler", "memory") is Clock
    assert registry.failures() == ()


@pytest.mark.parametrize(
    "wrong", [object(), "redis", dict, Shout, Clock()], ids=["object", "text", "dict", "suffix", "instance"]
)
def test_what_is_no_handler_class_is_refused_at_once(wrong: object):
    with pytest.raises(Invalid, match="is not a handler: subclass BaseHandler"):
        register_handler("x", wrong)


@pytest.mark.parametrize(
    "wrong", [object(), "x", dict, Clock, Shout()], ids=["object", "text", "dict", "handler", "instance"]
)
def test_what_is_no_suffix_class_is_refused_at_once(wrong: object):
    with pytest.raises(Invalid, match="is not a suffix: subclass BaseSuffix"):
        register_suffix("x", wrong)


def test_a_registry_names_what_there_is_where_something_is_missing():
    with pytest.raises(PluginError, match=r"there is no store named 'oracle' \(there are: sqlite\)$"):
        Registry().load("store", "oracle")
    with pytest.raises(PluginError, match=r"there is no discovery named 'x' \(there are: none\)$"):
        Registry().load("discovery", "x")
