"""What the documentation says is so: its Python runs, its links lead somewhere, every hook is documented."""

import inspect
import re
from pathlib import Path

import pytest

import avm_handlers
from vfs_core import hookspecs
from vfs_core.plugins import HOOKS, Registry

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_begins_with_code_that_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(code[0], "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "RSI > 70 = overbought" in printed
    assert "['/memory/lesson.md']" in printed


@pytest.mark.parametrize("hook", [hook for hook, _ in HOOKS.values()])
def test_every_hook_is_documented_by_its_signature(hook: str):
    returns = inspect.signature(getattr(hookspecs, hook)).return_annotation
    assert f"`{hook}() -> {returns}`" in (ROOT / "docs" / "plugins.md").read_text()


@pytest.mark.parametrize("hook", [hook for hook, _ in HOOKS.values()])
def test_every_hook_has_a_test_of_its_name(hook: str):
    assert f"def test_{hook}(" in (ROOT / "tests" / "test_hooks.py").read_text()


def test_what_the_page_on_plugins_shows_is_from_files_that_are_tested():
    example = ROOT / "examples" / "custom_handler"
    files = [
        path.read_text() for path in example.rglob("*") if path.suffix in (".py", ".toml", ".md", ".json")
    ]
    page = (ROOT / "docs" / "plugins.md").read_text()
    shown = re.findall(r"```(?:python|toml|yaml)\n(.*?)```", page, re.DOTALL)
    assert len(shown) >= 5
    for sample in shown:
        assert any(sample in text for text in files), sample


def test_every_handler_has_a_page():
    for spec in avm_handlers.avm_register_handlers():
        if spec.name != "skills":  # AVM mounts it by itself
            page = (ROOT / "docs" / "handlers" / f"{spec.name}.md").read_text()
            for setting in (spec.schema() or {}).get("properties", {}):
                assert f"`{setting}`" in page or f"{setting}:" in page, f"{spec.name}: {setting}"


def test_every_suffix_is_documented():
    page = (ROOT / "docs" / "suffixes.md").read_text()
    for name in Registry().suffixes():
        assert f"| `:{name}` |" in page


def test_every_command_is_documented():
    page = (ROOT / "docs" / "cli.md").read_text()
    for name in Registry().commands():
        assert f"avm {name}" in page, name


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for record in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert record.name in index
