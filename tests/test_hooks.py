"""Each hook, by a plugin that supplies one thing through it, used for what it is for."""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from vfs_core.config import (
    Config,
    EmbeddingSettings,
    PluginSettings,
    ProviderRule,
    SearchSettings,
    StorageSettings,
    SummariserSettings,
    VectorSettings,
)
from vfs_core.follower import Follower
from vfs_core.handler import BaseHandler
from vfs_core.hookspecs import hookimpl
from vfs_core.kernel import Kernel
from vfs_core.plugins import Registry
from vfs_core.specs import (
    CommandSpec,
    DiscoverySpec,
    EmbedderSpec,
    FollowerSpec,
    HandlerSpec,
    SearchSpec,
    Spec,
    StoreSpec,
    SuffixSpec,
    SummariserSpec,
    VectorSpec,
)
from vfs_core.suffix import BaseSuffix
from vfs_core.summarising import Sentence, Summariser
from vfs_core.testing.brute_search import BruteSearch
from vfs_core.testing.memory_store import MemoryStore
from vfs_core.testing.plain_vectors import PlainVectors
from vfs_core.testing.word_embedder import WordEmbedder

PLUGIN = "plugin_of_a_test"

Open = Callable[..., Kernel]


@pytest.fixture
def supply(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PluginSettings]:
    """Makes a plugin that supplies one thing through each hook that is given."""

    def make(**hooks: Spec) -> PluginSettings:
        module = types.ModuleType(PLUGIN)
        for hook, spec in hooks.items():
            setattr(module, hook, hookimpl(_function(hook, spec)))
        monkeypatch.setitem(sys.modules, PLUGIN, module)
        return PluginSettings(load=(PLUGIN,))

    return make


def _function(name: str, spec: Spec) -> Callable[[], list[Spec]]:
    def function() -> list[Spec]:
        return [spec]

    function.__name__ = name
    return function


@pytest.fixture
def opened(tmp_path: Path):
    """Opens kernels, and closes them."""
    kernels: list[Kernel] = []

    def open_kernel(**settings: object) -> Kernel:
        kernels.append(Kernel(Config(**settings), tmp_path / "avm.db"))
        return kernels[-1]

    yield open_kernel
    for each in kernels:
        each.close()


class Hello(BaseHandler):
    """Greets."""

    def read(self, path, context):
        return "hello"


class Shout(BaseSuffix):
    """In capitals."""

    def read(self, context):
        return context.node().text.upper()


class First(Summariser):
    """Takes the first words of the first text."""

    def summarise(self, texts, budget):
        return [Sentence(texts[0][:budget], 0)]


def test_avm_register_handlers(supply, opened):
    plugins = supply(avm_register_handlers=HandlerSpec("hello", Hello))
    kernel = opened(plugins=plugins, providers=(ProviderRule("/hello/*", "hello"),))
    assert kernel.session("ann").read("/hello/x").text == "hello"


def test_avm_register_suffixes(supply, opened):
    kernel = opened(plugins=supply(avm_register_suffixes=SuffixSpec("shout", Shout)))
    session = kernel.session("ann")
    session.write("/memory/a", "quiet")
    assert session.read("/memory/a:shout").text == "QUIET"


def test_avm_register_stores(supply, opened, tmp_path):
    plugins = supply(avm_register_stores=StoreSpec("in-memory", MemoryStore))
    kernel = opened(plugins=plugins, storage=StorageSettings("in-memory"))
    kernel.session("ann").write("/memory/a", "x")
    assert isinstance(kernel.store, MemoryStore)


def test_avm_register_search(supply, opened):
    plugins = supply(avm_register_search=SearchSpec("brute", BruteSearch))
    kernel = opened(plugins=plugins, search=SearchSettings("brute"))
    session = kernel.session("ann")
    session.write("/memory/a", "pump")
    assert [hit.path for hit in session.search("pump")] == ["/memory/a"]
    assert isinstance(kernel.search_backend(), BruteSearch)


def test_avm_register_embedders(supply, opened):
    plugins = supply(avm_register_embedders=EmbedderSpec("words", WordEmbedder))
    session = opened(plugins=plugins, embedding=EmbeddingSettings("words")).session("ann")
    session.write("/memory/a", "the pump is broken")
    session.write("/memory/b", "rain all day")
    assert session.search("pump", mode="semantic")[0].path == "/memory/a"


def test_avm_register_vectors(supply, opened, monkeypatch):
    asked: list[int] = []

    class Noted(PlainVectors):
        def open(self, path, count, dimensions):
            asked.append(count)
            return super().open(path, count, dimensions)

    plugins = supply(
        avm_register_vectors=VectorSpec("plain", Noted),
        avm_register_embedders=EmbedderSpec("words", WordEmbedder),
    )
    settings = {"embedding": EmbeddingSettings("words"), "vectors": VectorSettings("plain")}
    session = opened(plugins=plugins, **settings).session("ann")
    session.write("/memory/a", "the pump is broken")
    session.embed()
    session.save_vectors()
    assert session.search("pump", mode="semantic")[0].path == "/memory/a"
    assert asked


def test_avm_register_summarisers(supply, opened):
    plugins = supply(avm_register_summarisers=SummariserSpec("first", First))
    kernel = opened(plugins=plugins, summariser=SummariserSettings("first"))
    assert kernel.summariser().summarise(["abcdef"], 3) == [Sentence("abc", 0)]


def test_avm_register_discovery(supply):
    registry = Registry(supply(avm_register_discovery=DiscoverySpec("guess", "nowhere:Guess")).load)
    assert list(registry.specs("discovery")) == ["guess"]


def test_avm_register_followers(supply, opened, tmp_path):
    seen: list[str] = []

    class Noting(Follower):
        name = "noting"

        def __init__(self, context):
            self._cursor = None

        def cursor(self):
            return self._cursor

        def apply(self, changes, store, cursor):
            seen.extend(change.path for change in changes)
            self._cursor = cursor

        def rebuild(self, store, cursor, progress=None):
            self._cursor = cursor

        def discard(self):
            self._cursor = None

        def close(self):
            pass

    kernel = opened(plugins=supply(avm_register_followers=FollowerSpec("noting", Noting)))
    session = kernel.session("ann")
    session.write("/memory/first", "makes the store")
    kernel.catch_up("noting")
    session.write("/memory/a", "x")
    kernel.catch_up("noting")
    assert "/memory/a" in seen


def test_avm_register_commands(supply, avm, monkeypatch, tmp_path):
    @click.command()
    def wave() -> None:
        """Wave."""
        click.echo("o/")

    load = supply(avm_register_commands=CommandSpec("wave", wave, "Wave")).load
    config = tmp_path / "config.yaml"
    config.write_text(f"plugins: {{load: [{load[0]}]}}\n")
    assert avm("--config", config, "wave").out == "o/\n"
