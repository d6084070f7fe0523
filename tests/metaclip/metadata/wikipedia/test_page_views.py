"""Views of titles: rows of other wikis and of rarely viewed pages are counted; broken files are refused."""

import datetime
import gzip
from collections import Counter
from pathlib import Path

import pytest

from metaclip.errors import InputError, TransportError, UnreadableFileError
from metaclip.metadata.wikipedia.page_views import pageview_addresses, read_views
from tests.servers import serve

LINES = [
    "aa Main_Page 4 0",
    "de Fuchs 900 0",
    "en Red_fox 120 0",
    "en Red%20fox 50 0",
    "en.m Red_fox 80 0",
    "en Rare 49 0",
    "en Floor 50 0",
    "en Main_Page 99999 0",
    "en - 5000 0",
    "en Special:Search 700 0",
    "en File%3AFox.jpg 700 0",
    "en Caf%C3%A9 60 0",
    "en 100%_wool 60 0",
    "en %E9t%E9 61 0",
    "en St._Louis 90 0",
    "en.d fox 700 0",
    "engl fox 700 0",
]


def _write(path: Path, lines: list[str | bytes], unfinished: int = 0) -> str:
    content = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    packed = gzip.compress(content, mtime=0) if path.suffix == ".gz" else content
    path.write_bytes(packed[: len(packed) - unfinished])
    return str(path)


@pytest.fixture
def hour(tmp_path: Path) -> Path:
    return tmp_path / "pageviews-20240101-000000.gz"


@pytest.mark.long
@pytest.mark.parametrize("line", ["m b 1 ", "m b 1 0", "mm b 1 ", "m bb 1 "])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_there_is_room_for_the_shortest_lines(hour: Path, line: str, ending: str) -> None:
    content = "\n".join([line] * 200_000) + ending
    hour.write_bytes(gzip.compress(content.encode(), 1))
    counts: Counter[str] = Counter()
    assert list(read_views(str(hour), [line.split()[0]], 1, counts).values()) == [200_000]
    assert (counts["lines"], counts["rows"]) == (200_000, 200_000)


def test_titles_are_cleaned_and_what_is_left_out_is_counted(hour: Path) -> None:
    counts: Counter[str] = Counter()
    views = read_views(_write(hour, LINES), ["en"], 50, counts)
    assert views == {
        "%E9t%E9": 61,  # not UTF-8 when decoded: the percent signs stay
        "100% wool": 60,
        "Café": 60,
        "Floor": 50,
        "Red fox": 170,
        "St. Louis": 90,
    }
    assert list(views) == sorted(views)
    assert counts == {
        "lines": 17,
        "other_domains": 5,
        "below_hourly_floor": 1,
        "malformed_lines": 0,
        "rows": 11,
        "dropped.colon": 2,
        "dropped.no_article": 2,
    }


def test_mobile_views_are_added_on_demand(hour: Path) -> None:
    views = read_views(_write(hour, LINES), ["en", "en.m"], 50, Counter())
    assert views["Red fox"] == 250


def test_plain_files_and_pieces_of_any_size_give_the_same(hour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_views(_write(hour, LINES), ["en"], 50, Counter())
    plain = _write(hour.with_name("pageviews"), LINES)
    for size in (1, 7, 64, 1 << 20):
        monkeypatch.setattr("metaclip.metadata.wikipedia.chunks.CHUNK_BYTES", size)
        assert read_views(plain, ["en"], 50, Counter()) == expected


@pytest.mark.parametrize(
    "line",
    ["en", "en fox", "en fox 3", "en fox x 0", "en fox 3 0 0", "en  9 0", "en fox -3 0", " fox 9 0", "en fox 9 0x", ""],
)
def test_malformed_lines_are_counted(hour: Path, line: str) -> None:
    counts: Counter[str] = Counter()
    assert read_views(_write(hour, ["en Fox 99 0"] * 200 + [line]), ["en"], 50, counts) == {"Fox": 200 * 99}
    assert (counts["lines"], counts["malformed_lines"]) == (201, 1)


def test_a_title_that_is_not_utf8_is_counted(hour: Path) -> None:
    counts: Counter[str] = Counter()
    assert read_views(_write(hour, ["en Fox 99 0", b"en F\xe9 99 0"]), ["en"], 50, counts) == {"Fox": 99}
    assert counts["dropped.not_utf8"] == 1


def test_an_error_page_is_refused(hour: Path) -> None:
    page = ["<html>", "<head><title>503 Service Unavailable</title></head>", "<body>Try again later</body></html>"]
    for path in (hour, hour.with_name("pageviews")):
        with pytest.raises(InputError, match=r"3 of 3 lines are not .*line 1 is '<html>'.*error page"):
            read_views(_write(path, page), ["en"], 50, Counter())


def test_the_first_malformed_line_is_told_whatever_the_pieces(hour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _write(hour.with_name("pageviews"), [*LINES, "en no views", "en none"])
    for size in (7, 64, 1 << 20):
        monkeypatch.setattr("metaclip.metadata.wikipedia.chunks.CHUNK_BYTES", size)
        with pytest.raises(InputError, match=r"2 of 19 lines .*line 18 is 'en no views'"):
            read_views(plain, ["en"], 50, Counter())


@pytest.mark.slow
def test_a_half_written_gzip_is_refused(hour: Path) -> None:
    lines = [f"en Fox_{i * 7919 % 10007} {i} 0" for i in range(20_000)]
    for unfinished in (1, 4, 9, 5000):
        with pytest.raises(InputError, match="in the middle of its data"):
            read_views(_write(hour, lines, unfinished), ["en"], 50, Counter())


def test_damage_within_a_gzip_is_refused(hour: Path) -> None:
    _write(hour, [f"en Fox_{i * 7919 % 10007} {i} 0" for i in range(20_000)])
    content = bytearray(hour.read_bytes())
    content[-6] ^= 1  # the checksum
    hour.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_views(str(hour), ["en"], 50, Counter())


def test_an_empty_file_is_refused(hour: Path) -> None:
    for path in (hour, hour.with_name("pageviews")):
        with pytest.raises(InputError, match="is empty"):
            read_views(_write(path, []), ["en"], 50, Counter())


def test_days_become_addresses_of_hourly_files() -> None:
    addresses = pageview_addresses([datetime.date(2018, 4, 3), datetime.date(2022, 9, 30)], "https://host/pageviews/")
    assert len(addresses) == 48
    assert addresses[0] == "https://host/pageviews/2018/2018-04/pageviews-20180403-000000.gz"
    assert addresses[-1] == "https://host/pageviews/2022/2022-09/pageviews-20220930-230000.gz"


def test_files_are_read_over_http(hour: Path) -> None:
    _write(hour, LINES)
    with serve() as site:
        site.files["/a.gz"] = hour.read_bytes()
        assert read_views(f"{site.address}/a.gz", ["en"], 50, Counter())["Red fox"] == 170
        with pytest.raises(UnreadableFileError, match="404"):
            read_views(f"{site.address}/b.gz", ["en"], 50, Counter())


def test_transport_faults_are_told_apart(hour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip.io.http.time.sleep", lambda _: None)
    with serve() as site:
        site.answers = [(503, {})] * 20
        with pytest.raises(TransportError):
            read_views(f"{site.address}/a.gz", ["en"], 50, Counter())
