"""Running an exported model by onnxruntime: a quarter of a second from a cold start to the first vector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avm_builtin.embedders.onnx_export import INPUTS

if TYPE_CHECKING:
    from avm_builtin.embedders.arrays import Matrix

_PADDED_TOKENS = 512
"""Tokens at a time, padding included. The activations of so few stay in the processor's cache: 69 notes a second
where 4,096 at a time gave 56."""


class OnnxModel:
    """A loaded ONNX file and its tokenizer. Raises ImportError where onnxruntime or tokenizers are missing.

    Anything else that goes wrong is the file's fault: BadFile.
    """

    def __init__(self, file: Path, tokenizer: Path, max_tokens: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        # Waiting threads sleep: a query of 5 ms must not cost the processors of everything else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # An arena never gives memory back, and batches differ in size.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        self._tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no class for it
            raise BadFile(f"{file} cannot be used: {error}") from error

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Vectors of shape (len(texts), dimensions), at length 1. Texts of similar length go together."""
        import numpy as np

        tokens = [np.asarray(self._tokenizer.encode(text).ids, np.int64) for text in texts]
        order = sorted(range(len(tokens)), key=lambda number: len(tokens[number]))
        parts = []
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(tokens[order[end]]) <= _PADDED_TOKENS:
                end += 1
            parts.append(self._run([tokens[number] for number in order[start:end]]))
            start = end
        result = np.empty((len(order), parts[0].shape[1]), np.float32)
        result[order] = np.concatenate(parts)
        return result

    def _run(self, rows: Sequence[Any]) -> Matrix:
        import numpy as np

        ids = np.zeros((len(rows), len(rows[-1])), np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        vectors: Matrix = self._session.run(None, dict(zip(INPUTS, (ids, mask), strict=True)))[0]
        return vectors


class BadFile(Exception):
    """onnxruntime cannot load the file."""
