"""Survivors: every form names the same pairs, and a pool keeps those and no other."""

import gzip
import io
import json
import tarfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.balance.algorithm import draws, keep_probability
from metaclip.config.settings import Config
from metaclip.errors import ConfigError, InputError
from metaclip.pairs.uids import UIDS, parse_uids
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob, read_counts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.survivors import list_job
from metaclip.survivors.filter_job import check_survived, survive_jobs
from metaclip.survivors.list_job import SurvivorsJob
from metaclip.survivors.lists import read_survivors, survivor_files
from metaclip.tables.csr import csr
from tests.pools import make_pool
from tests.s3 import S3Server


@pytest.fixture(scope="module")
def pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return make_pool(crawl, tmp_path_factory.mktemp("survivors") / "pool")


@pytest.fixture
def partitions(pool: Config) -> tuple[Reference, ...]:
    store = Store(pool.storage)
    record = store.read_json("pools/small.json")
    assert record is not None
    manifests = [(address, store.manifest(address)) for address in record["stages"]["dedup"]]
    assert len(manifests) >= 3
    return tuple(Reference(address, manifest.key, manifest.rows) for address, manifest in manifests)


def _pairs(pool: Config, references: tuple[Reference, ...]) -> pa.Table:
    store = Store(pool.storage)
    return pa.concat_tables(store.open_parquet(reference, "pairs.parquet").read() for reference in references)


def _hex(table: pa.Table) -> list[str]:
    halves = zip(table.column("uid_hi").to_pylist(), table.column("uid_lo").to_pylist(), strict=True)
    return [f"{high:016x}{low:016x}" for high, low in halves]


def _survive(pool: Config, partitions: tuple[Reference, ...], *paths: Path) -> tuple[Reference, ...]:
    store = Store(pool.storage)
    listed = SurvivorsJob(tuple(survivor_files([str(path) for path in paths])), len(partitions)).run(store)
    return tuple(job.run(store) for job in survive_jobs(store, listed, partitions))


def _tar(path: Path, samples: list[dict[str, Any]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for number, sample in enumerate(samples):
            for suffix, data in (("jpg", b"image"), ("json", json.dumps(sample).encode())):
                member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def _write(form: str, folder: Path, uids: list[str]) -> Path:
    """Write a list of uids, with others that did not come through where the form can say so."""
    lost = "f" * 32
    array = np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], "u8,u8")
    path = folder / form
    if form == "img2dataset.parquet":
        status = ["success"] * len(uids) + ["failed_to_download"]
        pq.write_table(pa.table({"uid": [*uids, lost], "status": status, "url": ["x"] * len(status)}), path)
    elif form == "halves.parquet":
        pq.write_table(pa.table({"uid_hi": array["f0"], "uid_lo": array["f1"]}), path)
    elif form == "uids.npy":
        np.save(path, array)
    elif form == "big-endian.npy":
        np.save(path, array.astype(">u8,>u8"))
    elif form == "uids.txt":
        path.write_text("\r\n".join(["", *uids, " "]))
    elif form == "quoted.txt":
        path.write_text("\ufeff" + "\n".join(f'"{uid.upper()}" ' for uid in uids))
    elif form == "null-status.parquet":
        status = pa.array([None, *["success"] * (len(uids) - 1), "failed"])
        fixed = pa.array([uid.upper().encode() for uid in [*uids, lost]], pa.binary(32))
        pq.write_table(pa.table({"uid": fixed, "status": status}), path)
    elif form == "null-status.jsonl":
        rows = [{"uid": f"'{uid}'", "status": None} for uid in uids] + [{"uid": lost, "status": "failed"}]
        path.write_text("\ufeff" + "\n".join(map(json.dumps, rows)))
    elif form == "uids.txt.gz":
        path.write_bytes(gzip.compress("\n".join(uids).encode()))
    elif form == "uids.jsonl":
        rows = [{"uid": uid} for uid in uids] + [{"uid": lost, "status": "failed_to_resize"}]
        path.write_text("\n".join(map(json.dumps, rows)))
    elif form == "halves.jsonl.gz":
        rows = [{"uid_hi": high, "uid_lo": low} for high, low in array.tolist()]
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    else:
        _tar(path, [{"uid": uid, "status": "success"} for uid in uids], "w:gz" if form.endswith("gz") else "w")
    return path


FORMS = ["img2dataset.parquet", "halves.parquet", "uids.npy", "big-endian.npy", "uids.txt", "uids.txt.gz", "uids.jsonl"]
FORMS += ["halves.jsonl.gz", "shard.tar", "shard.tar.gz", "shard.tgz"]
FORMS += ["quoted.txt", "null-status.parquet", "null-status.jsonl"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_same_pairs_under_the_same_keys(
    pool: Config, partitions: tuple[Reference, ...], tmp_path: Path, form: str
) -> None:
    wanted = _hex(_pairs(pool, partitions))[::3]
    survived = _survive(pool, partitions, _write(form, tmp_path, wanted[::-1]))
    assert _hex(_pairs(pool, survived)) == wanted
    again = _survive(pool, partitions, _write("uids.npy", tmp_path, wanted + wanted[:5]))
    assert again == survived  # keys come from the uids, not from the files


def test_addresses_name_all_pairs_of_their_images(
    pool: Config, partitions: tuple[Reference, ...], tmp_path: Path
) -> None:
    pairs = _pairs(pool, partitions)
    urls = sorted(set(pairs.column("url").to_pylist()))[::4]
    expected = [row["url"] in set(urls) for row in pairs.to_pylist()]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    spelled = [url.replace("https://", "HTTPS://").replace(".example/", ".EXAMPLE:443/") + "#top" for url in urls]
    pq.write_table(pa.table({"url": spelled}), tmp_path / "urls.parquet")
    survived = _survive(pool, partitions, tmp_path / "urls.txt")
    assert _hex(_pairs(pool, survived)) == _hex(pairs.filter(pa.array(expected)))
    assert _survive(pool, partitions, tmp_path / "urls.parquet") == survived
    # Of addresses and uids together, either will do.
    other = _hex(pairs)[:10]
    both = _survive(pool, partitions, tmp_path / "urls.txt", _write("uids.txt", tmp_path, other))
    assert set(_hex(_pairs(pool, both))) == set(_hex(_pairs(pool, survived))) | set(other)


def test_a_filter_of_a_filter(pool: Config, partitions: tuple[Reference, ...], tmp_path: Path) -> None:
    uids = _hex(_pairs(pool, partitions))
    once = _survive(pool, partitions, _write("uids.npy", tmp_path, uids[::2]))
    twice = _survive(pool, once, _write("uids.txt", tmp_path, uids[::3]))
    assert _hex(_pairs(pool, twice)) == uids[::6]


def test_what_is_unknown_is_counted_and_nobody_is_an_error(
    pool: Config, partitions: tuple[Reference, ...], tmp_path: Path
) -> None:
    uids = _hex(_pairs(pool, partitions))[:7]
    path = tmp_path / "mixed.txt"
    path.write_text("\n".join([*uids, "0" * 32, "e" * 32, "https://nowhere.example/a.jpg", "rubbish", "A" * 32]))
    survived = _survive(pool, partitions, path)
    store = Store(pool.storage)
    counts: Counter[str] = Counter()
    for reference in survived:
        counts.update(store.manifest(reference.manifest).statistics["counts"])
    assert (counts["survived"], counts["unknown_uids"], counts["unknown_images"]) == (7, 3, 1)
    listed = SurvivorsJob(tuple(survivor_files([str(path)])), len(partitions)).run(store)
    assert store.manifest(listed.manifest).statistics["counts"]["unrecognised"] == 1
    check_survived(store, survived)

    path.write_text("0" * 32)
    with pytest.raises(InputError, match="none of 1 uids"):
        check_survived(store, _survive(pool, partitions, path))
    path.write_text("rubbish\nmore rubbish")
    with pytest.raises(InputError, match="2 are neither"):
        _survive(pool, partitions, path)


def test_memory_is_bounded_and_does_not_show(
    pool: Config, partitions: tuple[Reference, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = _hex(_pairs(pool, partitions))
    files = [_write(form, tmp_path, uids[start::5]) for start, form in enumerate(FORMS[:5])]
    store, listed = Store(pool.storage), tuple(survivor_files([str(file) for file in files]))
    reference = SurvivorsJob(listed, 3).run(store)
    whole = [file.sha256 for file in store.manifest(reference.manifest).files]
    monkeypatch.setattr(list_job, "MEMORY_BYTES", 1000)
    SurvivorsJob(listed, 3).run(store)
    assert [file.sha256 for file in store.manifest(reference.manifest).files] == whole
    assert sum(file.rows or 0 for file in store.manifest(reference.manifest).files) == len(uids)


def test_balancing_survivors_of_a_balanced_set_by_new_draws_is_fair(
    pool: Config, partitions: tuple[Reference, ...], tmp_path: Path
) -> None:
    """With the pool's own draws, which were low in what was kept, nearly all would be kept again."""
    store = Store(pool.storage)
    pairs = _pairs(pool, partitions)
    high, low = pairs.column("uid_hi").to_numpy(), pairs.column("uid_lo").to_numpy()
    offsets, entry_ids = csr(pairs.column("entry_ids"))
    metadata = store.read_json("pools/small.json")["stages"]["metadata"]  # type: ignore[index]
    described = Reference(metadata, store.manifest(metadata).key, 0)
    counts = read_counts(store, CountJob(partitions, described).run(store))
    kept = np.flatnonzero(keep_probability(counts, offsets, entry_ids, 20) >= draws(high, low, 0))
    uids = _hex(pairs)
    survived = _survive(pool, partitions, _write("uids.npy", tmp_path, [uids[row] for row in kept]))
    recounted = CountJob(survived, described).run(store)

    def share(seed: int) -> tuple[float, float]:
        balanced = tuple(BalanceJob(part, recounted, seed).run(store) for part in survived)
        table = _pairs(pool, balanced)
        expected = keep_probability(read_counts(store, recounted), *csr(table.column("entry_ids")), 20)
        return float(np.mean(table.column("min_t").to_numpy() <= 20)), float(expected.mean())

    again, expected = share(0)
    fresh, _ = share(1)
    assert again > expected + 0.05
    assert abs(fresh - expected) < 0.03


def test_a_folder_gives_one_kind_of_file(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "0000"
    folder.mkdir(parents=True)
    _write("img2dataset.parquet", folder, ["0" * 32])
    _write("shard.tar", folder, ["0" * 32])
    (folder / "00000_stats.json").write_text("{}")
    (folder / ".hidden.parquet").write_text("")
    assert [Path(file.path).name for file in survivor_files([str(tmp_path / "images")])] == ["img2dataset.parquet"]
    assert [Path(file.path).name for file in survivor_files([str(tmp_path / "**" / "*.tar")])] == ["shard.tar"]


@pytest.mark.slow
def test_an_object_store_holds_survivors_too(bucket: str, s3_server: S3Server, tmp_path: Path) -> None:
    system = s3_server.client()
    for form in FORMS:
        system.put_file(str(_write(form, tmp_path, ["0" * 31 + "1"])), f"{bucket}/images/0/{form}")
    files = survivor_files([f"{bucket}/images"])
    assert [file.path.rsplit("/", 1)[1] for file in files] == [
        "halves.parquet",
        "img2dataset.parquet",
        "null-status.parquet",
    ]
    for file in survivor_files([f"{bucket}/images/*/*"]):
        uids = np.concatenate([ids.uids for ids in read_survivors(file.path, Counter())])
        assert uids.tolist() == [(0, 1)], file.path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"no parquet", "cannot be read as Parquet"),
        ("a.npy", b"no array", "not an array"),
        ("a.tar", b"no tar" * 1000, "not a tar file"),
        ("a.jsonl", b"{", "not JSON"),
        ("a.jsonl", b"[1]", "no object"),
        ("a.jsonl", b'{"colour": 1}', "colour"),
        ("a.txt.gz", gzip.compress(b"0" * 32)[:-9], "damaged"),
    ],
)
def test_damage_ends_with_the_files_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_survivors(str(path), Counter()))
    assert str(path) in str(caught.value)


def test_arrays_of_other_types_and_short_ones(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    with pytest.raises(InputError, match=r"int64.*u8,u8"):
        list(read_survivors(str(tmp_path / "a.npy"), Counter()))
    np.save(tmp_path / "b.npy", np.zeros(10, UIDS))
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-1])
    with pytest.raises(InputError, match="ends before its 10 uids"):
        list(read_survivors(str(tmp_path / "b.npy"), Counter()))
    torn = _tar(tmp_path / "c.tar", [{"uid": "0" * 32}] * 30)
    torn.write_bytes(torn.read_bytes()[:20_000])
    with pytest.raises(InputError, match="damaged"):
        list(read_survivors(str(torn), Counter()))


@pytest.mark.parametrize("path", ["nowhere.parquet", "*.nothing", "notes.md", "empty"])
def test_paths_that_name_nothing(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(ConfigError, match="survivors"):
        survivor_files([str(tmp_path / path)])
    with pytest.raises(ConfigError, match="no path"):
        survivor_files([])


def test_parse_uids_of_sliced_and_chunked_columns() -> None:
    strings = [f"{number:032x}" for number in (0, 1, 2**64, 2**128 - 1)]
    column = pa.chunked_array([pa.array(strings)[1:3], pa.array([], pa.string()), pa.array(strings)[3:]])
    assert parse_uids(column).tolist() == [(0, 1), (1, 0), (2**64 - 1, 2**64 - 1)]
    assert len(parse_uids(pa.array([], pa.string()))) == 0


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()])
def test_lists_with_views_of_texts_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    uids = [f"{number:032x}".encode() for number in range(3)]
    statuses = [b"success", b"failed_to_download", None]
    table = pa.table(
        {"uid": pa.array(uids).cast(kind), "status": pa.array(statuses, pa.binary()).cast(pa.string_view())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (found,) = read_survivors(str(tmp_path / "a.parquet"), counts := Counter())
    assert found.uids["f1"].tolist() == [0, 2]
    assert counts["not_successful"] == 1


def test_no_more_of_a_record_is_held_than_names_a_pair(tmp_path: Path) -> None:
    lines = (json.dumps({"uid": f"{number:032x}", "html": "h" * (2 << 20)}).encode() + b"\n" for number in range(40))
    (tmp_path / "a.jsonl.gz").write_bytes(b"".join(map(gzip.compress, lines)))
    tracemalloc.start()
    (found,) = read_survivors(str(tmp_path / "a.jsonl.gz"), Counter())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.uids["f1"].tolist() == list(range(40))
    assert peak < 32 << 20
