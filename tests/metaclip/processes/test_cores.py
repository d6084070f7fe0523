import os
from pathlib import Path

import pytest

from metaclip.config.settings import Execution
from metaclip.processes import cores as module
from metaclip.processes.cores import cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 cores without any bound; the folder of its control groups."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(module, "CGROUPS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("told", "expected"), [("max 100000", 64), ("250000 100000", 3), ("50000 100000", 1)])
def test_the_quota_of_a_container(machine: Path, told: str, expected: int) -> None:
    (machine / "cpu.max").write_text(told + "\n")
    assert cores() == expected
    assert Execution().processes == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 64), ("400000", 4)])
def test_the_quota_of_an_older_container(machine: Path, quota: str, expected: int) -> None:
    (machine / "cpu").mkdir()
    (machine / "cpu/cpu.cfs_quota_us").write_text(quota)
    (machine / "cpu/cpu.cfs_period_us").write_text("100000")
    assert cores() == expected


def test_the_affinity_of_a_job(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert cores() == 2
