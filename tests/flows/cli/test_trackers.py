"""The figures of a run in trackers; wandb writes to a folder, without a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.show import trackers
from metaclip.errors import ConfigError
from tests.examples import ROOT


def test_a_tracker_must_be_known_and_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="known are wandb, tensorboard, mlflow"):
        trackers.require("excel")
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install mlflow"):
        trackers.require("mlflow")


def test_numbers_are_named_by_their_place() -> None:
    summary = {
        "pool": "x",
        "seconds": 2,
        "near": {"part": 0.5, "never_match": {"examples": ["a"], "entries": 1}},
        "b": True,
    }
    assert dict(trackers._numbers(summary)) == {"seconds": 2.0, "near/part": 0.5, "near/never_match/entries": 1.0}


def test_a_tracker_that_takes_nothing_is_told_of_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("No API key configured")

    monkeypatch.setitem(trackers._SENDERS, "wandb", refuse)
    with pytest.raises(
        ConfigError, match=r"--log wandb: the run is done, .*: No API key configured\. Check the settings"
    ):
        trackers.log_summary("wandb", {"pool": "x"})


@pytest.mark.slow
def test_wandb_gets_them(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    program = (
        "from flows.cli.show import trackers as t\n"
        "summary = {'pool': 'birds', 't': '20', 'storage': 'here', 'funnel': {'curated': 31}}\n"
        "t.log_summary(t.require('wandb'), summary)\n"
    )
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "PYTHONPATH": str(ROOT)}
    # Its service writes all when the process ends.
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=120)
    (written,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = written.read_bytes()
    assert b"funnel/curated" in content
    assert b"birds" in content
