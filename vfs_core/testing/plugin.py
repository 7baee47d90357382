"""The pytest plugin: a failing assertion of an inherited suite shows its values, as in a test of one's own.

Loaded by every pytest run where AVM is installed, so it imports nothing else.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "vfs_core.testing.stores",
    "vfs_core.testing.store_contents",
    "vfs_core.testing.store_files",
    "vfs_core.testing.store_forget",
    "vfs_core.testing.store_names",
    "vfs_core.testing.store_past",
    "vfs_core.testing.store_rights",
    "vfs_core.testing.store_journal",
    "vfs_core.testing.store_marks",
    "vfs_core.testing.store_model",
    "vfs_core.testing.store_help",
    "vfs_core.testing.handlers",
    "vfs_core.testing.search",
    "vfs_core.testing.semantic",
    "vfs_core.testing.vectors",
    "vfs_core.testing.suffixes",
    "vfs_core.testing.embedders",
    "vfs_core.testing.summarisers",
)
