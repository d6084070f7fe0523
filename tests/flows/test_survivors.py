"""Rebalancing what came through a download or a filter, as a pool of its own."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.rebalance import rebalance
from metaclip.errors import ConfigError, InputError
from metaclip.pool.status import pool_status
from tests.conftest import MakeConfig, data_files

pytestmark = pytest.mark.usefixtures("prefect_server")


def _computed(summary: dict[str, Any]) -> set[str]:
    return {stage["stage"] for stage in summary["stages"] if stage["cached"] < stage["tasks"]}


@pytest.mark.long
@pytest.mark.slow
def test_survivors_become_a_pool_of_their_own(finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    record = Path(storage, "pools", "small.json")
    before = record.read_bytes()
    pairs = pq.read_table(next(Path(storage).glob("dedup-v*/*/pairs.parquet")))
    uids = np.empty(pairs.num_rows, "u8,u8")
    uids["f0"], uids["f1"] = pairs.column("uid_hi").to_numpy(), pairs.column("uid_lo").to_numpy()
    np.save(tmp_path / "a.npy", uids[::2])
    np.save(tmp_path / "b.npy", uids[::3])

    first = rebalance("small", storage, 10, survivors=[str(tmp_path / "a.npy")])
    assert first["pool"] == "small-survivors"
    assert _computed(first) >= {"survivors", "survive", "count", "balance", "curate", "report"}
    assert not _computed(first) & {"metadata", "source", "extract", "match", "partition", "dedup"}
    assert first["funnel"]["survived"] == len(uids[::2])
    assert 0 < first["funnel"]["curated"] < first["funnel"]["survived"] < first["funnel"]["unique"]
    assert first["survivors"] == {"uids": len(uids[::2]), "images": 0, "unknown_uids": 0, "unknown_images": 0}
    survived = {f"{high:016x}{low:016x}" for high, low in uids[::2].tolist()}
    files = [pq.read_table(file) for file in Path(first["curated"]).glob("*.parquet")]
    assert {uid for file in files for uid in file["uid"].to_pylist()} < survived
    assert record.read_bytes() == before

    # Another filter is another chain; the first is found again, and the pool of survivors is a pool.
    second = rebalance("small", storage, 10, survivors=[str(tmp_path / "b.npy")])
    assert second["funnel"]["survived"] == len(uids[::3])
    again = rebalance("small", storage, 10, survivors=[str(tmp_path / "a.npy")])
    assert _computed(again) == set()
    assert data_files(again["curated"]) == data_files(first["curated"])
    other_t = rebalance("small-survivors", storage, "inf")
    assert not _computed(other_t) & {"dedup", "survivors", "survive", "count", "balance"}
    assert other_t["funnel"]["curated"] == len(uids[::2])
    found = pool_status(storage, "small-survivors")
    assert found["missing"] == 0
    assert sorted(found["sets"]) == ["10", "inf"]
    made = json.loads(Path(storage, "pools", "small-survivors.json").read_text())
    assert (made["survivors_of"], made["config"]["balance"]["seed"]) == ("small", 1)

    # A filter of a filter, under a name of its own.
    third = rebalance("small-survivors", storage, 10, survivors=[str(tmp_path / "b.npy")], survivors_name="twice")
    assert third["pool"] == "twice"
    assert third["funnel"]["survived"] == len(uids[::6])
    assert third["survivors"]["unknown_uids"] == len(uids[::3]) - len(uids[::6])


@pytest.mark.slow
def test_mistakes_are_told_and_leave_the_pool_as_it_was(finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    before = Path(storage, "pools", "small.json").read_bytes()
    (tmp_path / "list.txt").write_text("0" * 32)
    strangers = [str(tmp_path / "list.txt")]
    shown = io.StringIO()
    terminal = logging.StreamHandler(shown)
    logging.getLogger().addHandler(terminal)
    command = ["rebalance", "small", "--storage", storage, "--t", "10", "--survivors", *strangers]
    done = CliRunner().invoke(app, command)
    logging.getLogger().removeHandler(terminal)
    assert done.exit_code == InputError.exit_code
    assert "error: survivors: none of 1 uids and 0 addresses is of a pair of this pool" in done.output
    assert "Traceback" not in shown.getvalue()  # Prefect logs one
    with pytest.raises(ConfigError, match="nowhere"):
        rebalance("small", storage, 10, survivors=[str(tmp_path / "nowhere.npy")])
    with pytest.raises(ConfigError, match="another pool"):
        rebalance("small", storage, 10, survivors=strangers, survivors_name="small")
    with pytest.raises(ConfigError, match="no survivors are given"):
        rebalance("small", storage, 10, survivors_name="x")
    assert Path(storage, "pools", "small.json").read_bytes() == before
    assert not Path(storage, "pools", "small-survivors.json").exists()
