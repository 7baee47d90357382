"""The conformance suite of the storage contract (`vfs_core.storage`): subclass it and override `store`."""

from __future__ import annotations

from vfs_core.testing.store_contents import StoreContentTests
from vfs_core.testing.store_files import StoreFileTests
from vfs_core.testing.store_forget import StoreForgetTests
from vfs_core.testing.store_journal import StoreJournalTests
from vfs_core.testing.store_marks import StoreMarkTests
from vfs_core.testing.store_model import StoreModelTests
from vfs_core.testing.store_names import StoreNameTests
from vfs_core.testing.store_past import StorePastTests
from vfs_core.testing.store_rights import StoreRightsTests


class StoreTests(
    StoreContentTests,
    StoreFileTests,
    StoreNameTests,
    StoreRightsTests,
    StoreJournalTests,
    StorePastTests,
    StoreForgetTests,
    StoreMarkTests,
    StoreModelTests,
):
    """Everything that a store promises, by topic, and against a model."""
