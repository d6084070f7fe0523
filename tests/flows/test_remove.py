"""`metaclip remove`: pairs leave the sets of a pool at the price of their parts, and stay out."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.curate import curate
from flows.pictures.remove import remove_pairs
from flows.rebalance import rebalance
from metaclip.errors import ConfigError, InputError
from metaclip.report.job import CARD
from tests.conftest import MakeConfig, data_files

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(200)]


def _record(storage: str, pool: str = "small") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(storage, "pools", f"{pool}.json").read_text())
    return found


def _rows(folder: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted(Path(folder).glob("*.parquet")))


@pytest.mark.long
@pytest.mark.slow
def test_frozen_takes_out_pairs_alone(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(dedup__rows_per_partition=800)
    before = curate(config)
    storage = config.storage
    rebalance("small", storage, "inf")
    sets = _record(storage)["stages"]["curate"]
    assert sorted(sets) == ["20", "inf"]
    rows = _rows(before["curated"])
    gone = rows.column("uid")[0].as_py()
    (tmp_path / "list").write_text(f"uid {gone}\n")
    old = data_files(before["curated"])
    keys = {
        file.name: json.loads(file.read_text())["key"] for file in Path(before["curated"]).glob("part-*.manifest.json")
    }
    assert len(keys) >= 4

    told = remove_pairs("small", storage, str(tmp_path / "list"), dry_run=True)
    assert (told["removed"], told["partitions"] != [], told["unknown"]) == (1, True, [])
    assert not Path(storage, "removals").exists()
    assert _record(storage)["stages"]["curate"] == sets

    done = remove_pairs("small", storage, str(tmp_path / "list"), "asked")
    assert {t: each["before"] - each["now"] for t, each in done["sets"].items()} == {"20": 1, "inf": 1}
    folder = done["sets"]["20"]["folder"]
    left = _rows(folder)
    assert left.column("uid").to_pylist() == [uid for uid in rows.column("uid").to_pylist() if uid != gone]
    assert left.column("min_t").to_pylist() == [
        value
        for value, uid in zip(rows.column("min_t").to_pylist(), rows.column("uid").to_pylist(), strict=True)
        if uid != gone
    ]
    # One part has another key and other bytes; the old set is as it was.
    now = {file.name: json.loads(file.read_text())["key"] for file in Path(folder).glob("part-*.manifest.json")}
    assert sum(now[name] != keys[name] for name in keys) == 1
    assert sum(old[name] != content for name, content in data_files(folder).items() if name.endswith(".parquet")) == 1
    assert data_files(before["curated"]) == old

    # The record names the sets without it, the card says so, and the same again does nothing.
    stages = _record(storage)["stages"]
    assert stages["curate"].keys() == {"20", "inf"}
    assert stages["curate"]["20"] != sets["20"]
    assert _record(storage)["config"]["balance"]["t"] == 20
    again = remove_pairs("small", storage, str(tmp_path / "list"))
    assert again["new"] == 0
    assert {t: each["now"] for t, each in again["sets"].items()} == {t: e["now"] for t, e in done["sets"].items()}
    card = Path(storage, stages["report"]).parent / CARD
    assert "1 pairs were taken out on request" in card.read_text()

    told = json.loads(CliRunner().invoke(app, ["trace", "small", gone, "--storage", storage, "--json"]).stdout)
    assert (told["ended"], told["sets"]) == ("removed", {"20": False, "inf": False})

    # Every later run keeps it out.
    later = curate(config)
    assert later["curated"] == folder
    other = rebalance("small", storage, 100)
    assert gone not in _rows(other["curated"]).column("uid").to_pylist()
    assert other["funnel"]["curated"] == _rows(other["curated"]).num_rows


def _held(storage: str, uid: str) -> list[str]:
    """Return the Parquet files of the store that have a pair."""
    wanted = (int(uid[:16], 16), int(uid[16:], 16))
    found = []
    for path in sorted(Path(storage).rglob("*.parquet")):
        names = pq.read_schema(path).names
        if "uid" in names:
            has = uid in pq.read_table(path, columns=["uid"])["uid"].to_pylist()
        elif "uid_hi" in names:
            table = pq.read_table(path, columns=["uid_hi", "uid_lo"])
            has = wanted in set(zip(*(column.to_pylist() for column in table.columns), strict=True))
        else:
            has = False
        if has:
            found.append(str(path.relative_to(storage)))
    return found


@pytest.mark.long
@pytest.mark.slow
def test_purged_no_output_has_the_pairs(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(dedup__rows_per_partition=800)
    before = curate(config)
    storage = config.storage
    rows = _rows(before["curated"])
    uid, page = rows.column("uid")[0].as_py(), rows.column("page_url")[1].as_py()
    gone = {uid, *(row["uid"] for row in rows.to_pylist() if row["page_url"] == page)}
    (tmp_path / "list").write_text(f"uid {uid}\npage {page}\n")
    stages = _record(storage)["stages"]
    told = remove_pairs("small", storage, str(tmp_path / "list"))
    assert told["still_hold"] == ["extract", "match", "dedup", "balance"]
    assert all(_held(storage, each) for each in gone)

    command = ["remove", "small", "--storage", storage, "--list", str(tmp_path / "list"), "--purge", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["new"], told["still_hold"], told["held_by"]) == (0, [], [])
    now = _record(storage)["stages"]
    for stage in ("extract", "match", "dedup", "balance"):
        changed = [one != other for one, other in zip(stages[stage], now[stage], strict=True)]
        assert any(changed), stage
    assert not all(one != other for one, other in zip(stages["dedup"], now["dedup"], strict=True))
    left = _rows(told["sets"]["20"]["folder"])
    kept = [row for row in rows.to_pylist() if row["uid"] != uid and row["page_url"] != page]
    assert left.to_pylist() == kept
    collected = CliRunner().invoke(app, ["gc", "--storage", storage, "--grace", "0", "--json"])
    assert collected.exit_code == 0, collected.output
    assert {each: _held(storage, each) for each in gone} == {each: [] for each in gone}

    # What is left serves as before: another t, the fate of a pair, and the same list again.
    whole = rebalance("small", storage, "inf")
    assert not gone & set(_rows(whole["curated"]).column("uid").to_pylist())
    status = CliRunner().invoke(app, ["status", "small", "--storage", storage, "--json"])
    assert json.loads(status.stdout)["missing"] == 0
    again = CliRunner().invoke(app, command)
    assert again.exit_code == InputError.exit_code  # the lines name nothing any more
    assert _record(storage)["stages"]["balance"] == now["balance"]
    with pytest.raises(ConfigError, match="frozen"):
        remove_pairs("small", storage, str(tmp_path / "list"), counts="anew", purge=True)


@pytest.mark.slow
def test_anew_counts_what_is_left_and_unknown_lines_are_told(finished: MakeConfig, tmp_path: Path) -> None:
    storage = finished().storage
    pairs = pq.read_table(next(Path(storage).glob("dedup-v*/*/pairs.parquet")))
    host = pairs.column("url")[0].as_py().split("/")[2]
    on_host = [row["uid_hi"] for row in pairs.to_pylist() if row["url"].split("/")[2] == host]
    (tmp_path / "list").write_text(f"host {host}\nhost nowhere.example\n")
    command = ["remove", "small", "--storage", storage, "--list", str(tmp_path / "list"), "--counts", "anew", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == InputError.exit_code
    told = json.loads(done.stdout[: done.stdout.rindex("}\n{") + 1] if "}\n{" in done.stdout else done.stdout)
    assert (told["removed"], told["unknown"]) == (len(on_host), [2])
    record = _record(storage, "small-removed")
    assert record["survivors_of"] == "small"
    left = pa.concat_tables(
        pq.read_table(Path(storage, each).parent / "pairs.parquet") for each in record["stages"]["survive"]
    )
    assert left.num_rows == pairs.num_rows - len(on_host)
    assert not set(left.column("uid_hi").to_pylist()) & set(on_host)
    (tmp_path / "hash").write_text("sha256 " + "0" * 64)
    with pytest.raises(ConfigError, match="no picture of this pool was inspected"):
        remove_pairs("small", storage, str(tmp_path / "hash"))
