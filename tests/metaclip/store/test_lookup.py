"""One look finds what single looks find, in a folder and in S3, with far fewer requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metaclip.io.storage.files import Files
from metaclip.store import lookup
from metaclip.store.job import Job
from metaclip.store.lookup import find_many
from metaclip.store.manifest import json_bytes
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from tests.s3 import S3Server
from tests.s3_proxy import counting


@dataclass(frozen=True)
class _Job(Job):
    STAGE = "small"
    VERSION = 1

    number: int

    def config(self) -> Mapping[str, Any]:
        return {}

    def inputs(self) -> list[str]:
        return [str(self.number)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        output.json("a.json", {"number": self.number}, 1)
        output.json("b.json", [self.number], 1)
        return {"number": self.number}


JOBS = [_Job(number) for number in range(lookup.MANY + 6)]


def _fill(root: str) -> Store:
    """All jobs but the first stand; of three others a file is missing, cut short, or another."""
    store = Store(root)
    for job in JOBS[1:]:
        job.run(store)
    store.remove(f"{JOBS[1].folder}/a.json")
    store.write_whole(f"{JOBS[2].folder}/b.json", b"")
    store.write_whole(f"{JOBS[3].folder}/b.json", json_bytes([4]))
    store.remove(JOBS[4].manifest)
    return store


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path)
    return f"{request.getfixturevalue('bucket')}/pool"


@pytest.mark.long
@pytest.mark.parametrize("verify", ["size", "full"])
def test_one_look_finds_what_single_looks_find(root: str, verify: Any) -> None:
    store = _fill(root)
    found = find_many(store, JOBS, verify, lambda manifest: manifest.statistics["number"])
    assert [each and each[0] for each in found] == [job.find(store, verify) for job in JOBS]
    missing = {0, 1, 2, 4} | ({3} if verify == "full" else set())
    assert {number for number, each in enumerate(found) if each is None} == missing
    assert [each[1] for each in found if each is not None] == sorted(set(range(len(JOBS))) - missing)


@pytest.mark.slow
def test_a_store_that_belongs_to_others_for_the_most_part_is_not_listed_whole(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "KEYS_AN_OUTPUT", 1)
    store = _fill(f"{bucket}/pool")
    assert lookup._sizes(store, JOBS) is None
    assert sum(each is not None for each in find_many(store, JOBS, "size", lambda _: None)) == len(JOBS) - 4


@pytest.mark.long
def test_requests_are_one_for_each_manifest_and_few_listings(
    bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{bucket}/pool"
    for job in JOBS:
        job.run(Store(root))
    with counting(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        find_many(Store(root), JOBS, "size", lambda _: None)
        assert len(proxy.requests) <= len(JOBS) + 16
        assert len(proxy.listings) == 16


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_sizes_of_other_stores_are_those_of_their_files(kind: str, tmp_path: Path) -> None:
    files = Files(str(tmp_path) if kind == "folder" else "memory://sizes")
    for name in ("stage/a1/x", "stage/a1/deep/y", "stage/b2/z", "other/a1/x"):
        files.write_whole(name, name.encode())
    wanted = {"stage/a1/x": 10, "stage/a1/deep/y": 15}
    assert files.sizes("stage", "a", 10) == wanted
    assert files.sizes("stage", "ab", 3) == wanted | {"stage/b2/z": 10}
    assert files.sizes("stage", "ab", 2) is None
