"""No kernel reads or writes outside its arrays, on hostile input either: numba checks it, in a process of its own."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.examples import ROOT
from tests.metaclip.kernels.checked import PARTS
from tests.metaclip.kernels.source import kernel_modules

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `checked` prints."""
    cache = tmp_path_factory.mktemp("cache")
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "tests.metaclip.kernels.checked"]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("part", [part.__name__ for part in PARTS])
def test_nothing_outside_the_arrays_is_read_or_written(part: str, checked: dict[str, Any]) -> None:
    assert checked["errors"].get(part, "") == ""


def test_every_kernel_was_run(checked: dict[str, Any]) -> None:
    """Whoever adds a kernel adds input for it to `checked`."""
    kernels = {f"{module.name}.{name}" for module in kernel_modules() for name in module.kernels}
    assert kernels - set(checked["compiled"]) == set()
    assert len(kernels) > 100
