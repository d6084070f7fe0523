"""Runs that are killed while their workers compute leave the bytes of a run that nobody disturbed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("where", [[], ["--s3"]], ids=["folder", "s3"])
def test_killed_runs_leave_the_same_bytes(where: list[str]) -> None:
    command = [sys.executable, "-m", "bench.kills", "--kills", "3", *where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout)
    assert measured["different"] == []
    assert (measured["kills"], measured["last_exit_code"]) == (3, 0)
    assert measured["files"] > 100
