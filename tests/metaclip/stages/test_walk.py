"""The way of one pair through the packages: each call goes down a floor, and the pair enters eight packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import ROOT
from tests.test_layout import FLOOR

GROUND = {"kernels", "config", "errors", "schemas", "io", "processes"}
"""What all packages stand on; the pair itself is never there."""

# In a process of its own: a profiler sees the calls of one thread.
WALK = """
import sys
from metaclip.config.loading import parse_config
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.stages.extract import ExtractJob
from metaclip.store.store import Store

path, storage, entries = sys.argv[1:]
tree = {"pool": "walk", "storage": storage, "source": {"paths": [path]}, "metadata": {"entries": entries}}
config = parse_config(tree)
(shard,) = list_shards(config.source)
calls = {}

def package(frame):
    parts = frame.f_globals.get("__name__", "").split(".")
    return parts[1] if parts[0] == "metaclip" and len(parts) > 1 else None

def follow(frame, event, argument):
    callee = package(frame)
    if event != "call" or callee is None:
        return
    caller = frame.f_back
    while caller is not None and package(caller) is None:
        caller = caller.f_back
    if caller is not None and package(caller) != callee:
        calls.setdefault((package(caller), callee), frame.f_code.co_name)

compute = ExtractJob.compute
def followed(job, store, output):
    sys.setprofile(follow)
    try:
        return compute(job, store, output)
    finally:
        sys.setprofile(None)
ExtractJob.compute = followed
assert extract_job(config, shard).run(Store(storage)).rows > 0
for (caller, callee), name in calls.items():
    print(caller, callee, name)
"""


@pytest.mark.long
@pytest.mark.parametrize(("kind", "own"), [("warc", "html"), ("wat", "wat")])
def test_a_pair_goes_down_through_eight_packages(kind: str, own: str, crawl: Path, tmp_path: Path) -> None:
    path = sorted((crawl / kind).glob("*.gz"))[0]
    entries = tmp_path / "entries.txt"
    entries.write_text("a\n")
    done = subprocess.run(
        [sys.executable, "-c", WALK, str(path), str(tmp_path / "pool"), str(entries)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    calls = [line.split() for line in done.stdout.splitlines()]
    floor = {name.removeprefix("metaclip."): number for name, number in FLOOR.items()}
    up = [call for call in calls if floor[call[1]] >= floor[call[0]] and call[1] not in GROUND]
    assert up == [["store", "stages", "compute"]]  # how the walk begins: `Job.run` calls its subclass
    entered = {package for call in calls for package in call[:2]} - GROUND
    assert entered == {"stages", "sources", "archive", own, "pairs", "language", "tables", "store"}
