"""What holds for every test, wherever it lies: it is alone, and in CI it is not skipped.

Isolation: each test has an empty HOME of its own and neither XDG_* nor AVM_* variables, so that no
test ever meets the store or the configuration of whoever runs it. Only the settings of the tests
themselves stay (AVM_TEST_*, AVM_NO_SKIP, AVM_SOAK). No test loads an embedding model unless it asks for one, with the
fixture `models`.

AVM_NO_SKIP=1: a skipped test fails the session, since a test that CI skips is a test that nobody runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_KEPT = ("AVM_TEST_", "AVM_NO_SKIP", "AVM_SOAK")


def _isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in os.environ:
        if name.startswith("XDG_") or (name.startswith("AVM_") and not name.startswith(_KEPT)):
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    patch.setenv("AVM_EMBEDDER", "none")


@pytest.fixture(scope="session", autouse=True)
def _isolated_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For the fixtures that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def _isolated_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(scope="session")
def onnx_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XDG cache directory with the ONNX file of MiniLM in it, made once."""
    from avm_builtin.embedders.minilm import MiniLM

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        MiniLM({"engine": "onnx"}).encode(["made"], "query")
    return cache


@pytest.fixture
def models(onnx_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedding models that are installed, as a user has them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(onnx_cache))
    monkeypatch.delenv("AVM_EMBEDDER")


def pytest_configure(config: pytest.Config) -> None:
    """Watch for skipped tests in a session that allows none."""
    if os.environ.get("AVM_NO_SKIP") == "1":
        config.pluginmanager.register(_NoSkip())


class _NoSkip:
    """Fails a session in which a test, or a whole module, was skipped. An expected failure is not a skip."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.skipped and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, and AVM_NO_SKIP=1 allows none", red=True)
            for nodeid in self.skipped:
                terminalreporter.line(nodeid)
