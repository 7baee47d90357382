"""The wheel works on its own, in an environment outside the repository."""

import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_wheel_holds_every_package_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {
        "avm", "vfs_core", "avm_schemas", "avm_builtin", "avm_handlers", "avm_suffixes", "avm_discovery",
    }  # fmt: skip
    assert not [name for name in names if "/tests/" in name]
    for top in tops:
        assert f"{top}/py.typed" in names
    assert "avm_schemas/config.schema.json" in names


def test_it_writes_searches_and_reads_outside_the_repository(environment, tmp_path: Path):
    written = environment.run("-m", "avm", "write", "lesson.md", "--content", "RSI > 70", where=tmp_path)
    assert written.returncode == 0, written.stderr
    found = environment.run("-m", "avm", "search", "rsi", where=tmp_path)
    assert "/memory/lesson.md" in found.stdout
    where = environment.run(
        "-c", "import avm, vfs_core; print(avm.__file__, vfs_core.__file__)", where=tmp_path
    )
    assert str(ROOT) not in where.stdout


def test_no_top_level_module_called_plugins_is_installed(environment, tmp_path: Path):
    failed = environment.run("-c", "import plugins", where=tmp_path)
    assert failed.returncode != 0
    assert "No module named 'plugins'" in failed.stderr
