"""Lists of what to take out: every kind is understood, kept as hashes alone, and names what it says."""

from pathlib import Path

import pyarrow as pa
import pytest

from metaclip.errors import ConfigError, StoreError
from metaclip.pairs.uids import uids
from metaclip.removal.lists import Entry, Removals, add_removals, read_list, read_removals
from metaclip.store.store import Store

URLS = [
    "https://a.example/1.jpg",
    "https://cdn.a.example/2.jpg",
    "http://b.example:8080/3.jpg",
    "https://notb.example/4.jpg",
]
PAGES = ["https://news.example/x", "https://news.example/y", "https://blog.other/z", ""]


def _table() -> pa.Table:
    high, low = uids(URLS, ["a", "b", "c", "d"])
    return pa.table({"uid_hi": high, "uid_lo": low, "url": URLS, "page_url": PAGES})


def _named(tmp_path: Path, *lines: str) -> list[int]:
    (tmp_path / "list").write_text("\n".join(lines))
    entries = read_list(str(tmp_path / "list"))
    named, met = Removals(tuple(sorted(entries))).named(_table())
    assert met == {entry for entry in entries if entry in met}
    assert bool(met) == bool(named.any())
    return [row for row, one in enumerate(named.tolist()) if one]


def test_every_kind_names_what_it_says(tmp_path: Path) -> None:
    high, low = (column.tolist() for column in uids(URLS, ["a", "b", "c", "d"]))
    assert _named(tmp_path, f"uid {high[0]:016x}{low[0]:016X}", "# nothing", "") == [0]
    assert _named(tmp_path, f"{high[0]:016x}{low[1]:016x}") == []
    assert _named(tmp_path, f"image,{high[2]:016x}") == [2]
    assert _named(tmp_path, "url\tHTTPS://A.EXAMPLE:443/1.jpg#top") == [0]
    assert _named(tmp_path, URLS[3], URLS[1]) == [1, 3]
    assert _named(tmp_path, "host a.example") == [0]
    assert _named(tmp_path, "domain: a.example") == [0, 1]
    assert _named(tmp_path, "domain b.example") == [2]
    assert _named(tmp_path, "domain example") == [0, 1, 2, 3]
    assert _named(tmp_path, "page https://news.example/y") == [1]
    assert _named(tmp_path, "page_domain NEWS.example", "page_domain other") == [0, 1, 2]


@pytest.mark.parametrize(
    "line", ["rubbish", "host", "uid 12", "sha256 zz", "image http://a", "url nothing", "host a b/"]
)
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "list").write_text(f"host a.example\n{line}\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_list(str(tmp_path / "list"))


def test_removals_are_added_to_and_hold_no_address(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "pool"))
    assert not read_removals(store, "demo")
    (tmp_path / "list").write_text("host secret-person.example\n" + URLS[0])
    entries = list(read_list(str(tmp_path / "list")))
    assert add_removals(store, "demo", entries, "asked") == 2
    assert add_removals(store, "demo", [*entries, Entry("image", 5)], "") == 1
    found = read_removals(store, "demo")
    assert len(found.entries) == 3
    assert found.digest == Removals(tuple(sorted({*entries, Entry("image", 5)}))).digest
    file = tmp_path / "pool/removals/demo.parquet"
    assert b"secret-person" not in file.read_bytes()
    file.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="damaged"):
        read_removals(store, "demo")
    (tmp_path / "empty").write_text("# none\n")
    with pytest.raises(ConfigError, match="names nothing"):
        read_list(str(tmp_path / "empty"))
