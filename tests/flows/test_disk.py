"""A disk that is full, or can only be read, ends a run with exit code 4 and one line, whoever meets it."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from metaclip.errors import StoreError
from metaclip.io import hashing
from metaclip.io.failures import disk_failure, explaining_disks
from metaclip.io.temporary import write_whole
from metaclip.lists.add_variants import write_variants
from metaclip.pool.run_log import run_log
from metaclip.stages.match import MatchJob
from metaclip.store.delivery import Target
from metaclip.store.job import run_job
from metaclip.store.store import Store
from metaclip.tables import scratch
from tests.examples import ROOT
from tests.pools import make_pool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def _config(folder: Path, storage: Path, entries: int = 0) -> Path:
    (folder / "entries.txt").write_text("cat\ndog\nred\n" + "".join(f"entry {number}\n" for number in range(entries)))
    (folder / "in").mkdir()
    for file in range(3):
        lines = [
            f'{{"url": "https://a.example/{file}/{row}.jpg", "text": "a red cat {row * 7919 % 1000}"}}\n'
            for row in range(2000)
        ]
        (folder / "in" / f"{file}.jsonl").write_text("".join(lines))
    path = folder / "c.yaml"
    tree = {
        "pool": "full",
        "storage": str(storage),
        "source": {"paths": [f"{folder}/in/"]},
        "metadata": {"entries": str(folder / "entries.txt")},
        "match": {"languages": []},
        "execution": {"processes": 1},
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def _run(config: Path, prefect: str, **environment: str) -> str:
    """Run the command in a process of its own; return its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", "run", str(config), "--json"],
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": prefect, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    # On a machine without kernels, what compiles them beside the run has no room either.
    (told,) = [
        line for line in done.stderr.splitlines() if not line.startswith("WARNING kernels could not be compiled")
    ]
    return told


@pytest.mark.long
def test_a_full_store_and_one_that_can_only_be_read(tmp_path: Path, small_disk: Path, prefect_server: str) -> None:
    config = _config(tmp_path, small_disk / "store")
    told = _run(config, prefect_server)
    assert told.startswith(f"error: {small_disk}/store/")
    assert "no space is left" in told
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    told = _run(config, prefect_server)
    assert told.startswith(f"error: {small_disk}/store/")
    assert "can only be read" in told


@pytest.mark.long
def test_a_full_folder_of_temporary_files(tmp_path: Path, small_disk: Path, prefect_server: str) -> None:
    (small_disk / "much").write_bytes(bytes(40_000))  # room for small files, and not for the matcher's table
    told = _run(_config(tmp_path, tmp_path / "store", entries=5000), prefect_server, TMPDIR=str(small_disk))
    assert str(small_disk) in told
    assert "no space is left" in told


def test_signs_of_life_that_cannot_be_written(small_disk: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no space is left"):
        _fill_and_log(small_disk)
    with run_log(Store(str(tmp_path)), "pool", "a1", "curate", sign_seconds=0.05):
        pass


def test_the_file_that_a_user_named_is_told_and_not_tmpdir(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "much").write_bytes(bytes(65_536))
    (tmp_path / "list.txt").write_text("bald eagle\n" * 2)
    with pytest.raises(StoreError, match=rf"^{small_disk}/new.txt: no space is left"):
        write_variants(str(tmp_path / "list.txt"), str(small_disk / "new.txt"), case=True)
    assert [file.name for file in small_disk.iterdir()] == ["much"]
    target = Target(str(small_disk / "exp"), "export.json", "x")
    with (
        pytest.raises(StoreError, match=rf"^{small_disk}/exp/a.txt: no space is left"),
        target.file("a.txt", []) as sink,
    ):
        sink.write(b"few")  # which a buffer takes
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match=rf"^{small_disk}/page.html: the disk can only be read"):
        write_whole(small_disk / "page.html", b"x")


def _fill_and_log(folder: Path) -> None:
    with suppress(OSError):
        (folder / "much").write_bytes(bytes(100_000))
    with run_log(Store(str(folder)), "pool", "a1", "curate"):
        pytest.fail("a run began that cannot write anything")


def test_signs_of_life_that_fail_later_are_told_once(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with run_log(Store(str(small_disk)), "pool", "a1", "curate") as log:
        with suppress(OSError):
            (small_disk / "much").write_bytes(bytes(100_000))
        for _ in range(3):
            log.write()
    assert caplog.text.count("no sign of life could be written") == 1


@pytest.fixture(scope="module")
def made(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("disk") / "pool"
    make_pool(crawl, root)
    return Store(str(root))


def _match(store: Store) -> MatchJob:
    from metaclip.explore.pool import FinishedPool

    pool = FinishedPool.open(store.root, "small")
    return MatchJob(pool.all("extract")[0], pool.one("metadata"), pool.config.match)


def test_a_limit_on_the_size_of_files(made: Store) -> None:
    job, before = _match(made), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"pairs\.parquet: a file would become larger"):
            run_job(made.root, job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    folder = Path(made.path(job.folder))
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]


NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EACCES]


def _failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("place", ["fsync", "replace", "mkdir", "write", "open"])
def test_every_way_a_disk_fails_where_an_output_is_written(
    made: Store, monkeypatch: pytest.MonkeyPatch, number: int, place: str
) -> None:
    job, open_file, fail = _match(made), Path.open, _failing(number)

    def _open(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return fail() if "w" in mode else open_file(path, mode, *arguments, **options)

    def _break(file: Any, _: memoryview) -> None:
        file._sink = _Broken(number)

    match place:
        case "fsync":
            monkeypatch.setattr(os, "fsync", _failing(number))
        case "replace":
            monkeypatch.setattr(Path, "replace", _failing(number))
        case "mkdir":
            monkeypatch.setattr(Path, "mkdir", _failing(number))
        case "open":
            monkeypatch.setattr(Path, "open", _open)
        case "write":
            monkeypatch.setattr(hashing.HashingFile, "_hash_blocks", _break)
    with pytest.raises(StoreError, match=r"match-v") as found:
        run_job(made.root, job)
    assert "\n" not in str(found.value)
    monkeypatch.undo()
    run_job(made.root, job)


class _Broken:
    def __init__(self, number: int) -> None:
        self.write = _failing(number)


@pytest.mark.parametrize("number", NUMBERS[:-1])
def test_temporary_files_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(scratch, "MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: _BrokenFile(number))
    table = scratch.ScratchTable(pa.schema([("a", pa.int64())]))
    with pytest.raises(StoreError, match=r"temporary files in .*TMPDIR"), explaining_disks():
        table.append(pa.table({"a": [1]}))


class _BrokenFile:
    closed = False

    def __init__(self, number: int) -> None:
        self.write = _failing(number)

    def tell(self) -> int:
        return 0


def test_what_arrow_says_of_a_full_disk() -> None:
    told = disk_failure(OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"))
    assert told is not None
    assert "no space is left" in str(told)
    told = disk_failure(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/']"))
    assert told is not None
    assert "set TMPDIR" in str(told)
    assert disk_failure(FileNotFoundError(errno.ENOENT, "No such file", "/a")) is None
    assert disk_failure(ValueError("[errno 28]")) is None


def test_what_is_no_failure_of_a_disk_stays_as_it_is() -> None:
    with pytest.raises(FileNotFoundError), explaining_disks():
        Path("/nowhere/at/all").read_bytes()
    with pytest.raises(ConnectionResetError), explaining_disks():
        raise ConnectionResetError
