"""Crawls by name and `latest`, from a server with Common Crawl's layout."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from flows.cli.show.summary import show_summary
from flows.curate import curate
from flows.supervision.supervisor import part_of
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from metaclip.errors import MetaclipError
from tests.conftest import data_files
from tests.servers import Site, serve

pytestmark = pytest.mark.usefixtures("prefect_server")

A, B, C = "CC-MAIN-2024-30", "CC-MAIN-2024-33", "CC-MAIN-2024-38"


def publish(site: Site, crawl: Path, name: str, number: int, copies: int = 1) -> None:
    """Add a crawl of copies of one WAT file to the server."""
    paths = [f"crawl-data/{name}/segments/1/wat/{copy}.warc.wat.gz" for copy in range(copies)]
    content = (crawl / "wat" / f"demo-{number:05}.warc.wat.gz").read_bytes()
    site.files |= {f"/{path}": content for path in paths}
    site.files[f"/crawl-data/{name}/wat.paths.gz"] = gzip.compress("\n".join(paths).encode())
    listed = json.loads(site.files.get("/collinfo.json", b"[]"))
    site.files["/collinfo.json"] = json.dumps([{"id": name}, *listed]).encode()


@pytest.fixture
def site(crawl: Path) -> Iterator[Site]:
    with serve() as site:
        publish(site, crawl, A, 3)
        yield site


def configure(site: Site, root: Path, **changes: Any) -> Config:
    tree: dict[str, Any] = {
        "pool": f"latest-{root.parent.name.lower()}",
        "storage": str(root),
        "source": {"kind": "wat", "crawl": "latest", "base": site.address, **changes.pop("source", {})},
        "metadata": {"entries": str(ENTRIES)},
        "balance": {"t": 20},
        "execution": {"processes": 2, "retries": 0},
    }
    return parse_config(tree | changes)


def computed(summary: Any) -> dict[str, int]:
    return {stage["stage"]: stage["tasks"] - stage["cached"] for stage in summary["stages"]}


def last_state(pool: str) -> tuple[str | None, str | None]:
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[pool])))
    last = max(runs, key=lambda run: run.expected_start_time or run.created)
    assert last.state is not None
    return last.state.name, last.state.message


@pytest.mark.long
@pytest.mark.slow
def test_a_pool_of_the_latest_crawl_grows_and_ends_at_once_when_nothing_is_new(
    site: Site, crawl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "pool"
    config = configure(site, root)
    first = curate(config)
    assert first["crawls"] == [A]
    record = json.loads((root / "pools" / f"{config.pool}.json").read_text())
    assert record["config"]["source"]["crawl"] == [A]

    # Nothing new: no file is asked for but the two lists, and the state says so.
    site.requests.clear()
    again = curate(config)
    assert again["nothing_new"] is True
    assert again["stages"] == []
    assert {path for path, _ in site.requests} == {"/collinfo.json", f"/crawl-data/{A}/wat.paths.gz"}
    name, message = last_state(config.pool)
    assert name == "Nothing new"
    assert A in str(message)
    show_summary(again)
    assert "nothing new: pool" in capsys.readouterr().out

    # Who downloads, and how many at once, shapes no result.
    assert curate(configure(site, root, source={"contact": "crawling@example.org", "max_downloads": 7}))["nothing_new"]
    assert site.requests[-1][1]["User-Agent"].endswith("(+crawling@example.org)")

    # Another t is something to do, though no crawl is new.
    other = curate(configure(site, root, balance={"t": 50}))
    assert "nothing_new" not in other
    assert {name for name, tasks in computed(other).items() if tasks} == {"curate", "survey", "report"}

    # So is an output that is gone.
    assert curate(configure(site, root, balance={"t": 50}))["nothing_new"]
    next(Path(other["curated"]).glob("*.parquet")).unlink()
    assert computed(curate(configure(site, root, balance={"t": 50})))["curate"]

    # A new crawl joins; the older one is not read again.
    publish(site, crawl, B, 4)
    site.requests.clear()
    grown = curate(config)
    assert grown["crawls"] == [A, B]
    assert (computed(grown)["extract"], computed(grown)["match"]) == (1, 1)
    assert [stage["tasks"] for stage in grown["stages"] if stage["stage"] == "extract"] == [2]
    assert not [path for path, _ in site.requests if f"{A}/segments" in path]
    assert grown["funnel"]["files"] == 2
    assert curate(config)["nothing_new"]

    # The same pool by name gives the same bytes.
    named = curate(configure(site, tmp_path / "named", source={"crawl": [A, B]}))
    assert data_files(named["curated"]) == data_files(grown["curated"])
    assert "nothing_new" not in curate(configure(site, tmp_path / "named", source={"crawl": [A, B]}))


@pytest.mark.long
@pytest.mark.slow
def test_a_run_that_was_cut_off_is_gone_on_with_though_the_latest_crawl_is_another(
    site: Site, crawl: Path, tmp_path: Path
) -> None:
    config = configure(site, tmp_path / "pool")
    curate(config, "match")
    publish(site, crawl, B, 4)
    summary = curate(config)
    assert summary["crawls"] == [A, B]
    assert computed(summary)["extract"] == 1
    # Cut off again, with the record of a finished run.
    publish(site, crawl, C, 5)
    curate(config, "extract")
    summary = curate(config)
    assert summary["crawls"] == [A, B, C]
    assert "nothing_new" not in summary
    assert computed(summary)["extract"] == 0


@pytest.mark.long
def test_downloads_of_all_worker_processes_share_the_limit(site: Site, crawl: Path, tmp_path: Path) -> None:
    publish(site, crawl, B, 4, copies=6)
    site.pause, site.piece = 0.02, 64 << 10
    processes = {"processes": 2}
    site.most_open_bodies = 0
    curate(configure(site, tmp_path / "two", execution=processes), "extract")
    assert site.most_open_bodies == 2
    site.most_open_bodies = 0
    curate(configure(site, tmp_path / "one", execution=processes, source={"max_downloads": 1}), "extract")
    assert site.most_open_bodies == 1


@pytest.mark.slow
def test_what_will_not_change_is_listed_by_its_reason_and_not_asked_for_again(
    site: Site, crawl: Path, tmp_path: Path
) -> None:
    publish(site, crawl, B, 4, copies=4)
    gone, refused, page, _ = [f"/crawl-data/{B}/segments/1/wat/{number}.warc.wat.gz" for number in range(4)]
    del site.files[gone]
    site.refused.add(refused)
    site.files[page] = b"<!DOCTYPE html><title>Sorry</title>"
    config = configure(site, tmp_path / "pool", extract={"max_failed_files": 1})
    site.requests.clear()
    summary = curate(config, "extract")
    failed = [
        (file["path"].removeprefix(site.address), file["reason"])
        for manifest in sorted((tmp_path / "pool").glob("extract-v*/*/manifest.json"))
        for file in json.loads(manifest.read_text())["statistics"]["failed_files"]
    ]
    assert sorted(failed) == [(gone, "not_found"), (refused, "forbidden"), (page, "html_error_page")]
    assert len([path for path, _ in site.requests if path in (gone, refused)]) == 2
    assert computed(summary)["extract"] == 4


@pytest.mark.long
def test_a_drop_a_busy_server_and_a_changed_file_cost_no_byte(site: Site, crawl: Path, tmp_path: Path) -> None:
    whole = curate(configure(site, tmp_path / "whole"), "extract")
    path = f"/crawl-data/{A}/segments/1/wat/0.warc.wat.gz"
    site.cut_after = len(site.files[path]) // 3 + 1
    site.failing[path] = [(503, {}), (429, {"Retry-After": "1"})]
    # The file is another one at the first attempt: what was read of it is thrown away.
    site.file_tags[path] = ['"other"']
    cut = curate(configure(site, tmp_path / "cut", execution={"processes": 2, "retries": 1}), "extract")
    assert computed(cut)["extract"] == computed(whole)["extract"] == 1
    assert extracted(tmp_path / "cut") == extracted(tmp_path / "whole")


def extracted(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(root.glob("extract-v*/*/*.parquet"))]


@pytest.mark.parametrize(
    ("crawl_name", "message"),
    [
        ("CC-MAIN-2024-31", f"404.*there are, among others: {A}"),
        ("CC-MAIN-1999-01", f"among others: .*{A}"),
    ],
)
def test_a_crawl_that_there_is_none_of_names_those_that_are_near(
    site: Site, tmp_path: Path, crawl_name: str, message: str
) -> None:
    with pytest.raises(MetaclipError, match=message):
        curate(configure(site, tmp_path / "pool", source={"crawl": [A, crawl_name]}))


def test_latest_without_a_list_of_crawls_names_the_way_out(site: Site, tmp_path: Path) -> None:
    del site.files["/collinfo.json"]
    with pytest.raises(MetaclipError, match="name the crawls instead"):
        curate(configure(site, tmp_path / "pool"))
    site.files["/collinfo.json"] = b"<html>Sorry</html>"
    with pytest.raises(MetaclipError, match=r"collinfo\.json: not a list of crawls"):
        curate(configure(site, tmp_path / "pool"))


def test_runs_on_other_workers_get_an_equal_part_of_the_downloads(site: Site, tmp_path: Path) -> None:
    execution = {"deployment": "match-shards/match-shards", "runs_at_once": 3}
    config = configure(site, tmp_path / "pool", execution=execution, source={"max_downloads": 8})
    part = parse_config(part_of(config))
    assert part.source.max_downloads == 2
    assert part.execution.deployment is None
    assert "processes" not in part.execution.model_fields_set
