"""Registers the embedder of the tests, so that a configuration can name it: `words`, and `slow-words`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal

from vfs_core.hookspecs import hookimpl
from vfs_core.specs import EmbedderSpec
from vfs_core.testing.word_embedder import WordEmbedder

DIARY = "AVM_TEST_DIARY"
"""The variable that names a file which gets a line for each document that is embedded."""


class SlowWords(WordEmbedder):
    """Takes a moment for each batch, and keeps a diary."""

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        vectors = super().encode(texts, kind)
        if kind == "document":
            time.sleep(float(str(self.config.get("seconds", 0.01))))
            if DIARY in os.environ:
                with open(os.environ[DIARY], "a") as diary:  # noqa: PTH123
                    diary.writelines(f"{text!r}\n" for text in texts)
        return vectors


@hookimpl
def avm_register_embedders() -> list[EmbedderSpec]:
    return [EmbedderSpec("words", WordEmbedder), EmbedderSpec("slow-words", SlowWords)]
