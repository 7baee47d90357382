"""The pytest plugin costs other people's test runs nothing, and every suite is rewritten."""

import subprocess
import sys
from pathlib import Path

import pytest

import vfs_core.testing as testing

HEAVY = ("hypothesis", "apsw", "pluggy", "yaml", "vfs_core.storage", "vfs_core.testing.stores")


def test_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, pytest; before = set(sys.modules); import vfs_core.testing.plugin; "
        f"print([name for name in {HEAVY} if name in sys.modules and name not in before], "
        "sorted(name for name in set(sys.modules) - before if not name.startswith('vfs_core')))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[] []"


def test_every_module_of_a_suite_shows_the_values_of_its_assertions():
    registered = Path(testing.__file__).with_name("plugin.py").read_text()
    for module in Path(testing.__file__).parent.glob("*.py"):
        if "    assert " in module.read_text() and not module.name.startswith(("memory_", "brute_")):
            assert f'"vfs_core.testing.{module.stem}"' in registered, module.name


@pytest.mark.parametrize("name", testing.__all__)
def test_every_export_is_there(name):
    assert (
        getattr(testing, name).__name__ == name if name != "FOUNDER" else testing.FOUNDER.agent == "founder"
    )


def test_what_is_not_exported_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = testing.Nothing
