import email.utils
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metaclip import __version__
from metaclip.errors import ChangedFileError, TransportError, UnreadableFileError
from metaclip.io import http as http_module
from metaclip.io.client import Backoff, Client, current_client
from metaclip.io.http import head, open_url
from metaclip.io.streams import read_whole
from tests.servers import Site, serve

ATTEMPTS = 3
QUICK = Client(backoff=Backoff(ATTEMPTS, first_pause=0.01, shortest_pause=0, longest_pause=0.05, timeout=5))
IMPATIENT = replace(QUICK, backoff=replace(QUICK.backoff, timeout=0.4))
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as site:
        site.files["/a"] = CONTENT
        yield site


def read(site: Site, offset: int = 0) -> bytes:
    with open_url(f"{site.address}/a", offset, QUICK) as stream:
        return stream.read()


def test_a_file_is_read_as_it_is_by_a_client_that_says_who_it_is(site: Site) -> None:
    assert read(site) == CONTENT
    (_, headers), *more = site.requests
    assert not more
    assert headers["User-Agent"].startswith("metaclip-pipeline/")
    assert headers["Accept-Encoding"] == "identity"


def test_reading_starts_at_an_offset(site: Site) -> None:
    assert read(site, 1000) == CONTENT[1000:]
    assert site.requests[0][1]["Range"] == "bytes=1000-"


def test_reading_starts_at_an_offset_where_the_server_ignores_ranges(site: Site) -> None:
    site.ranges = False
    assert read(site, 1000) == CONTENT[1000:]


@pytest.mark.parametrize("offset", [len(CONTENT), len(CONTENT) + 5])
def test_nothing_lies_at_or_behind_the_end(site: Site, offset: int) -> None:
    assert read(site, offset) == b""


def test_the_position_counts_from_the_files_start(site: Site) -> None:
    with open_url(f"{site.address}/a", 1000, QUICK) as stream:
        stream.read(24)
        assert stream.tell() == 1024


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dropped_connection_goes_on_at_the_byte_reached(site: Site, ranges: bool) -> None:
    site.cut_after = len(CONTENT) // 2 + 1
    site.ranges = ranges
    if ranges:
        assert read(site) == CONTENT
        assert site.requests[1][1]["Range"] == f"bytes={site.cut_after}-"
    else:
        # Half the file comes each time, and never the rest: that is no transfer.
        with pytest.raises(TransportError, match="given up after 3 attempts"):
            read(site)


def test_a_connection_may_drop_more_often_than_there_are_attempts_while_it_gets_on(site: Site) -> None:
    site.files["/a"] = CONTENT * 8
    site.cut_after = 1 << 20
    assert read(site) == CONTENT * 8
    assert len(site.requests) > ATTEMPTS


def test_a_connection_that_always_drops_is_given_up(site: Site) -> None:
    site.cut_after = 0
    with pytest.raises(TransportError, match="closed after 0 of 1024000 bytes"):
        read(site)
    assert len(site.requests) == ATTEMPTS


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changes_while_it_is_read_is_not_mixed(site: Site, strict: bool, ranges: bool) -> None:
    site.cut_after, site.strict, site.ranges = 100, strict, ranges
    site.tags = ['"v1"', '"v2"']
    with pytest.raises(ChangedFileError, match="changed while it was read"):
        read(site)
    assert ("If-Range", '"v1"') in site.requests[1][1].items()


def test_a_small_file_that_changes_is_read_again_from_its_start(site: Site) -> None:
    site.stalls = [100]
    site.tags = ['"v1"', '"v2"']
    assert read_whole(f"{site.address}/a", replace(QUICK, backoff=replace(QUICK.backoff, timeout=0.2))) == CONTENT
    assert "Range" not in site.requests[2][1]


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
def test_without_a_name_for_the_version_what_came_is_compared(site: Site, tag: str | None) -> None:
    site.tag = tag
    site.stalls = [300_000]
    with open_url(f"{site.address}/a", 0, IMPATIENT) as stream:
        assert stream.read() == CONTENT
    assert "If-Range" not in site.requests[1][1]
    assert ("Range" in site.requests[1][1]) == (tag is not None)  # a weak tag still tells versions apart


@pytest.mark.parametrize("other", [CONTENT[:-1] + b"x", b"x" + CONTENT[1:], CONTENT[:1000], CONTENT + b"x"])
def test_other_bytes_under_no_name_are_told(site: Site, other: bytes) -> None:
    site.tag = None
    site.stalls = [300_000]
    with open_url(f"{site.address}/a", 0, IMPATIENT) as stream:
        got = stream.read(1000)
        assert got == CONTENT[:1000]
        site.files["/a"] = other
        if other[:300_000] == CONTENT[:300_000] and len(other) == len(CONTENT):
            assert stream.read() == other[1000:]  # not one byte that was handed on differs
        else:
            with pytest.raises(ChangedFileError):
                stream.read()


def test_an_error_page_in_the_middle_is_not_taken_for_the_rest(site: Site) -> None:
    site.stalls = [300_000]
    with open_url(f"{site.address}/a", 0, IMPATIENT) as stream:
        stream.read(1000)
        site.pages = [b"<html>Please log in</html>"]
        with pytest.raises(ChangedFileError):
            stream.read()


def test_a_file_that_became_shorter_is_told(site: Site) -> None:
    site.stalls = [300_000]
    with open_url(f"{site.address}/a", 0, IMPATIENT) as stream:
        stream.read(1000)
        site.files["/a"] = CONTENT[:200_000]
        with pytest.raises(ChangedFileError):
            stream.read()


@pytest.mark.slow
def test_a_stalled_transfer_is_cut_and_goes_on_where_it_stopped(site: Site) -> None:
    site.stalls = [300_000, 300_000]
    with open_url(f"{site.address}/a", 0, IMPATIENT) as stream:
        assert stream.read() == CONTENT
    assert [headers.get("Range") for _, headers in site.requests] == [None, "bytes=300000-", "bytes=600000-"]


@pytest.mark.slow
def test_a_slow_transfer_may_take_longer_than_the_timeout(site: Site) -> None:
    site.pause, site.piece = 0.1, 100_000
    started = time.monotonic()
    with open_url(f"{site.address}/a", 0, IMPATIENT) as stream:
        assert stream.read() == CONTENT
    assert time.monotonic() - started > IMPATIENT.backoff.timeout
    assert len(site.requests) == 1


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(site: Site) -> None:
    site.hold("/a")
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"timed out.*given up after 3 attempts"):
        open_url(f"{site.address}/a", 0, IMPATIENT)
    site.held["/a"].set()
    assert time.monotonic() - started < 10


def test_a_body_without_stated_length_ends_with_the_connection(site: Site) -> None:
    site.length = False
    assert read(site) == CONTENT


def test_a_storm_of_answers_that_it_is_busy_is_outlasted(site: Site) -> None:
    site.answers = [(503, {})] * 9
    with open_url(f"{site.address}/a", 0, replace(QUICK, backoff=replace(QUICK.backoff, attempts=10))) as stream:
        assert stream.read() == CONTENT


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_pause_that_the_server_asks_for_is_kept(site: Site, form: str) -> None:
    asked = (
        "2" if form == "seconds" else email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    )
    site.answers = [(429, {"Retry-After": asked})]
    started = time.monotonic()
    assert read(site) == CONTENT
    assert 1.5 < time.monotonic() - started < 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(site: Site, status: int) -> None:
    site.answers = [(status, {"Retry-After": "0"}), (status, {})]
    assert read(site) == CONTENT


def test_a_server_that_stays_busy_is_given_up(site: Site) -> None:
    site.answers = [(503, {})] * ATTEMPTS
    with pytest.raises(TransportError, match="503"):
        read(site)
    assert not site.answers


def test_the_pause_that_a_server_asks_for_is_kept_and_bounded() -> None:
    backoff = Backoff(first_pause=2, longest_pause=100, longest_wish=300)
    assert all(30 <= backoff.pause(1, 30) <= 32 for _ in range(100))
    assert all(300 <= backoff.pause(1, 1e6) <= 302 for _ in range(100))


def test_pauses_grow_are_scattered_and_never_shorter_than_a_second() -> None:
    backoff = Backoff(first_pause=2, shortest_pause=1, longest_pause=100)
    for failures, bound in ((1, 2), (4, 16), (9, 100)):
        drawn = [backoff.pause(failures) for _ in range(2000)]
        assert min(drawn) >= 1
        assert max(drawn) <= bound
        assert max(drawn) > 0.9 * bound
        assert len(set(drawn)) > 100


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "not_found"), (410, "not_found"), (403, "forbidden"), (401, "forbidden"), (400, "http_400")],
)
def test_what_will_not_change_is_refused_at_once(site: Site, status: int, reason: str) -> None:
    site.answers = [(status, {})]
    with pytest.raises(UnreadableFileError) as caught:
        read(site)
    assert caught.value.reason == reason
    assert len(site.requests) == 1


@pytest.mark.parametrize("address", ["http://", "http://a b:x/", "http://127.0.0.1:99999/"])
def test_an_address_that_is_none_is_an_error_that_names_it(address: str) -> None:
    with pytest.raises((UnreadableFileError, TransportError), match=address.replace("/", ".")):
        open_url(address, 0, QUICK)


def test_a_server_that_is_not_there_is_a_fault_of_transport() -> None:
    with serve() as site:
        address = site.address
    with pytest.raises(TransportError, match="refused"):
        open_url(f"{address}/a", 0, QUICK)


def test_names_beyond_ascii_are_asked_for_in_quotes(site: Site) -> None:
    site.files["/a%20%C3%A9?b=1"] = b"here"
    with open_url(f"{site.address}/a é?b=1", 0, QUICK) as stream:
        assert stream.read() == b"here"


def test_headers_are_asked_for_with_the_same_patience(site: Site) -> None:
    site.answers = [(503, {})]
    assert head(f"{site.address}/a", QUICK)["ETag"] == '"v1"'
    site.answers = [(503, {})] * ATTEMPTS
    with pytest.raises(TransportError):
        head(f"{site.address}/a", QUICK)
    with pytest.raises(UnreadableFileError):
        head(f"{site.address}/missing", QUICK)


def test_the_client_names_who_runs_it(site: Site) -> None:
    with open_url(f"{site.address}/a", 0, replace(QUICK, contact="crawling@example.org")) as stream:
        stream.read()
    assert site.requests[0][1]["User-Agent"] == f"metaclip-pipeline/{__version__} (+crawling@example.org)"


def test_no_more_downloads_at_once_than_there_are_slots(site: Site) -> None:
    site.pause, site.piece = 0.02, 200_000
    client = replace(QUICK, slots=threading.BoundedSemaphore(2))

    def fetch(_number: int) -> bool:
        with open_url(f"{site.address}/a", 0, client) as stream:
            return stream.read() == CONTENT

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(fetch, range(12)))
    assert site.most_open_bodies == 2


@pytest.mark.parametrize("fault", ["cut", "gone", "busy", "changed"])
def test_a_download_that_fails_gives_its_slot_back(site: Site, fault: str) -> None:
    slots = threading.BoundedSemaphore(1)
    client = replace(QUICK, slots=slots)
    match fault:
        case "cut":
            site.cut_after = 0
        case "gone":
            del site.files["/a"]
        case "busy":
            site.answers = [(503, {})] * ATTEMPTS
        case "changed":
            site.cut_after, site.tags = 100, ['"v1"', '"v2"']
    with pytest.raises((TransportError, UnreadableFileError)), open_url(f"{site.address}/a", 0, client) as stream:
        stream.read()
    assert slots.acquire(timeout=1)
    slots.release()
    with pytest.raises(ValueError, match="released too many times"):
        slots.release()


def test_redirects_from_a_public_server_into_a_private_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as site, serve() as inner:
        inner.files["/secret"] = b"secret"
        there = f"{inner.address}/secret"
        site.failing["/a"] = [(302, {"Location": there})] * 9
        assert open_url(f"{site.address}/a").read() == b"secret"  # the server is in a private network itself
        monkeypatch.setattr(http_module, "is_private", lambda url: not url.startswith(site.address))
        for ask in (open_url, head):
            with pytest.raises(UnreadableFileError, match="allow_private") as caught:
                ask(f"{site.address}/a")
            assert caught.value.reason == "private_redirect"
        client = replace(current_client(), allow_private=True)
        assert open_url(f"{site.address}/a", client=client).read() == b"secret"
        site.failing["/f"] = [(302, {"Location": "ftp://a.org/x"})]
        with pytest.raises(UnreadableFileError, match="redirects to ftp:"):
            open_url(f"{site.address}/f", client=client)


@pytest.mark.parametrize("status", [403, 405, 501, 400])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_without_head_is_asked_for_the_first_byte(status: int, ranges: bool) -> None:
    with serve() as site:
        site.files["/a"] = b"12345"
        site.answers = [(status, {})]
        if ranges:
            site.failing["/a"] = [(status, {}), (206, {"Content-Range": "bytes 0-0/5", "ETag": '"v1"'})]
        found = head(f"{site.address}/a")
        assert (found["Content-Length"], found["ETag"]) == ("5", '"v1"')
        assert site.requests[-1][1]["Range"] == "bytes=0-0"
        site.answers, site.failing = [(status, {}), (416, {"Content-Range": "bytes */0", "ETag": '"v2"'})], {}
        assert head(f"{site.address}/empty")["Content-Length"] == "0"
