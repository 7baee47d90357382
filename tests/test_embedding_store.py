"""The views of `avm.embedding` and `avm.faiss_store`, as the project's description shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avm import AVM
from avm.embedding import EmbeddingStore, LocalEmbedding
from avm.errors import Invalid, NotFound
from avm.faiss_store import FAISSEmbeddingStore, get_faiss_store

NOTES = {
    "market": "Stocks fell as the central bank raised its rates.",
    "cat": "My cat sleeps all day on the sofa.",
    "rain": "明天下雨，记得带伞",
}


@pytest.fixture
def avm_store(tmp_path: Path, models: None) -> Iterator[AVM]:
    with AVM(db=tmp_path / "avm.db", agent="trader") as memory:
        for name, text in NOTES.items():
            memory.write(f"/memory/shared/{name}.md", text)
        yield memory


def test_brute_force_as_described(avm_store: AVM) -> None:
    with EmbeddingStore(avm_store, LocalEmbedding()) as store:
        assert store.embed_all() == len(NOTES)
        assert store.embed_all() == 0
        assert store.search("market analysis", k=1)[0].path == "/memory/shared/market.md"
        assert store.search("umbrella", k=1)[0].path == "/memory/shared/rain.md"


@pytest.mark.parametrize("index_type", ["flat", "hnsw", "sq8", "auto"])
def test_faiss_as_described(avm_store: AVM, tmp_path: Path, index_type: str) -> None:
    nodes = [avm_store.read(f"/memory/shared/{name}.md") for name in NOTES]
    with FAISSEmbeddingStore(avm_store, LocalEmbedding(), index_type=index_type) as store:  # type: ignore[arg-type]  # a str
        assert store.add_nodes(nodes) == len(NOTES)
        store.save()
        assert list(tmp_path.glob("*.vectors"))
        results = store.search("market analysis", k=5)
        assert results[0].path == "/memory/shared/market.md"
        assert len(results) == len(NOTES)
    with get_faiss_store(avm_store, LocalEmbedding(), "flat") as store:
        assert store.search("market analysis", k=1)[0].path == "/memory/shared/market.md"


def test_a_view_sees_what_its_agent_sees(avm_store: AVM, tmp_path: Path) -> None:
    with AVM(db=tmp_path / "avm.db", agent="other") as other:
        other.write("/private/secret.md", "The stock market crashed.")
    with EmbeddingStore(avm_store) as store:
        store.embed_all()
        assert "secret" not in str(store.search("stock market crash"))
        with pytest.raises(NotFound):
            store.add_nodes(["/memory/private/other/secret.md"])


def test_an_embedding_gives_vectors_of_length_one(models: None) -> None:
    model = LocalEmbedding("all-MiniLM-L6-v2")
    vector = model.encode("a cat")
    assert len(vector) == model.dimensions == 384
    assert sum(each * each for each in vector) == pytest.approx(1, abs=1e-4)
    assert model.encode_many([]) == []


def test_a_memory_without_a_file_has_no_second_view() -> None:
    with AVM(db=":memory:") as memory, pytest.raises(Invalid, match="without a file"):
        EmbeddingStore(memory)
