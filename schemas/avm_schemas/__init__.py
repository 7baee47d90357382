"""The JSON schemas of AVM's files, as package data: what `config.yaml` and the like may contain.

Each is one `NAME.schema.json` (JSON Schema, draft 2020-12), readable by editors as it is.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def load(name: str) -> dict[str, Any]:
    """The schema called `name` (`"config"` for `config.schema.json`), parsed anew on each call.

    Raises FileNotFoundError if there is no schema of that name.
    """
    text = resources.files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
