"""After `warm` nothing is compiled any more: here, and in an image that another processor runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metaclip.kernels.ways import COMPILE_SECONDS, WAYS
from metaclip.prepare import warm
from tests.examples import ROOT

MADE = """
import json, sys
from pathlib import Path
import llvmlite.binding
llvmlite.binding.get_host_cpu_name = lambda: "znver3"
from metaclip.kernels.jit import KERNELS
from tests.pools import make_pool
make_pool(Path(sys.argv[1]), Path(sys.argv[2]))
used = [one for one in KERNELS if one.is_compiled]
print(json.dumps([len(used), [one.__name__ for one in used if one.compiled.stats.cache_misses]]))
"""


def run(cache: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(cache),
        "NUMBA_CPU_NAME": "x86-64-v3" if os.uname().machine == "x86_64" else "generic",
        "NUMBA_CPU_FEATURES": "",
    }
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_an_image_compiles_nothing_on_another_processor(crawl: Path, tmp_path: Path) -> None:
    told = json.loads(run(tmp_path / "cache", "-m", "metaclip", "warm", "--json"))
    assert told["groups"] == list(COMPILE_SECONDS)
    assert told["kernels"] > 100
    used, compiled = json.loads(run(tmp_path / "cache", "-c", MADE, str(crawl), str(tmp_path / "pool")))
    assert compiled == []
    assert used > 20
    assert json.loads(run(tmp_path / "cache", "-m", "metaclip", "warm", "--json"))["groups"] == []


def test_groups_are_compiled_and_marked() -> None:
    told: list[tuple[int, int]] = []
    warm.warm(["table", "titles", "words"], lambda compiled, of: told.append((compiled, of)))
    assert WAYS.missing(["table", "titles", "words"]) == []
    compiled, of = told[-1]
    assert 0 < compiled <= of


@pytest.mark.slow
def test_every_group_has_its_sample(tmp_path: Path) -> None:
    sample = warm._Sample(tmp_path)
    for group in COMPILE_SECONDS:
        jobs = sample.jobs(group)
        assert jobs
        assert all(group in job.work().groups for job in jobs)


def test_an_unknown_group() -> None:
    with pytest.raises(KeyError):
        warm.warm(["nothing"])
