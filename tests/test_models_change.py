"""A change of the embedding model: the new one is embedded beside the old, which answers until then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vfs_core.kernel import Kernel
from vfs_core.session import Session

PLUGIN = """
from array import array
from math import hypot
from vfs_core.embedding import Embedder
from vfs_core.hookspecs import hookimpl
from vfs_core.specs import EmbedderSpec

class Letters(Embedder):
    dimensions = 26
    encoded = []

    def encode(self, texts, kind):
        if kind == "document":
            self.encoded.extend(texts)
        vectors = array("f")
        for text in texts:
            counts = [1e-3 + text.lower().count(chr(97 + letter)) for letter in range(26)]
            vectors.extend(count / hypot(*counts) for count in counts)
        return memoryview(vectors).cast("B").cast("f", (len(texts), 26))

class First(Letters):
    fingerprint = "first"

class Second(Letters):
    fingerprint = "second"

@hookimpl
def avm_register_embedders():
    return [EmbedderSpec("first", First), EmbedderSpec("second", Second)]
"""
Open = Callable[[str], Session]


@pytest.fixture
def open_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """A session of a kernel whose model is the first or the second."""
    name = f"letters_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("AVM_EMBEDDER")

    def opened(model: str) -> Session:
        config = tmp_path / f"{model}.yaml"
        config.write_text(f"plugins: {{load: [{name}]}}\nembedding: {{model: {model}}}\n")
        return Kernel(config, tmp_path / "avm.db").session("me")

    return opened


def nearest(session: Session, query: str) -> str:
    return session.search(query, 1, "semantic")[0].path


def encoded(session: Session) -> list[str]:
    """What the model of a session has embedded."""
    texts: list[str] = type(session.kernel.embedder()).encoded  # type: ignore[attr-defined]  # of the plugin above
    return texts


def test_the_former_model_answers_until_the_new_one_has_embedded_everything(
    open_with: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_with("first")
    for name, text in (("a", "aaa"), ("b", "bbb"), ("c", "ccc")):
        first.write(f"/memory/{name}.md", text)
    assert nearest(first, "b") == "/memory/b.md"
    first.kernel.close()

    second = open_with("second")
    with monkeypatch.context() as patch:
        patch.setattr("vfs_core.searching.EMBED_SECONDS", -1.0)
        found = second.search("c", 1, "semantic")
        assert found[0].path == "/memory/c.md"
        assert found.embedded == (0, 3)
    assert second.embed() == 3
    found = second.search("c", 1, "semantic")
    assert (found[0].path, found.embedded) == ("/memory/c.md", None)
    second.kernel.close()


def test_going_back_embeds_nothing_again(open_with: Open) -> None:
    for model in ("first", "second", "first"):
        session = open_with(model)
        if not session.exists("/memory/a.md"):
            session.write("/memory/a.md", "aaa")
        assert nearest(session, "a") == "/memory/a.md"
        texts = encoded(session)
        session.kernel.close()
    assert texts.count("aaa") == 2  # once by each


def test_files_of_a_model_that_nobody_uses_any_more_go(open_with: Open, tmp_path: Path) -> None:
    first = open_with("first")
    first.write("/memory/a.md", "aaa")
    first.embed()
    first.kernel.close()
    former = set(tmp_path.glob("avm.vectors.*"))
    for path in former:
        os.utime(path, (0, 0))
    second = open_with("second")
    second.embed()
    second.kernel.close()
    assert {path for path in former if path.exists() and path.suffix != ".lease"} == set()
