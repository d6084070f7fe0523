"""One picture from a hostile server: within every bound, and each outcome by its reason."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from metaclip.images.download.care import Care
from metaclip.images.download.fetch import Fetched, Fetcher
from metaclip.images.download.opt_out import OPTED_OUT
from tests.hostile import Hostile, body, endless, hostile, redirect
from tests.pictures import encoded, picture

JPEG = encoded(picture(1))
CARE = Care(timeout=1.0, retries=0, max_seconds=2.0, max_bytes=8 << 20, allow_loopback=True)


@pytest.fixture
def site() -> Iterator[Hostile]:
    with hostile() as found:
        found.files["/good.jpg"] = JPEG
        yield found


def _fetch(*addresses: str, care: Care = CARE) -> list[Fetched]:
    async def all_of_them() -> list[Fetched]:
        async with Fetcher(care) as fetcher:
            return list(await asyncio.gather(*map(fetcher.fetch, addresses)))

    return asyncio.run(all_of_them())


def _reasons(site: Hostile, *paths: str, care: Care = CARE) -> list[str]:
    return [each.reason for each in _fetch(*(site.address + path for path in paths), care=care)]


def test_a_picture_comes_through_and_the_server_is_told_who_asks(site: Hostile) -> None:
    site.answers["/moved.jpg"] = redirect("/good.jpg", 308)
    both = _fetch(f"{site.address}/good.jpg", f"{site.address}/moved.jpg#here", care=Care(**_with(contact="a@b.org")))
    assert [each.body for each in both] == [JPEG, JPEG]
    assert site.asked == {"/robots.txt": 1, "/good.jpg": 2, "/moved.jpg": 1}
    (agent,) = site.agents
    assert "compatible; img2dataset; +a@b.org" in agent


def _with(**changes: object) -> dict[str, object]:
    return {**CARE.__dict__, **changes}


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        ((200, b"User-agent: *\nDisallow: /"), "robots.txt: disallowed"),
        ((200, b"User-agent: *\nAllow: /\n\nUser-agent: Img2Dataset\nDisallow: /good"), "robots.txt: disallowed"),
        ((503, b""), "robots.txt: http 503"),
        ((429, b""), "robots.txt: http 429"),
        ((404, b"User-agent: *\nDisallow: /"), ""),
        ((403, b""), ""),
        ((200, b"<html>not found</html>"), ""),
    ],
)
def test_robots_txt_comes_first(site: Hostile, robots: tuple[int, bytes], reason: str) -> None:
    site.robots = robots
    assert _reasons(site, "/good.jpg", "/good.jpg") == [reason] * 2
    assert site.asked["/good.jpg"] == (0 if reason else 2)
    assert site.asked["/robots.txt"] == 1


@pytest.mark.slow
def test_a_robots_txt_may_move_hang_or_never_end(site: Hostile) -> None:
    site.answers["/robots.txt"] = redirect("/rules")
    site.answers["/rules"] = body(b"User-agent: *\nDisallow: /good")
    assert _reasons(site, "/good.jpg") == ["robots.txt: disallowed"]
    site.answers["/robots.txt"] = redirect("/robots.txt")  # as if there were none
    assert _reasons(site, "/good.jpg") == [""]
    site.answers["/robots.txt"] = redirect("http://10.0.0.1/robots.txt")
    assert _reasons(site, "/good.jpg") == ["inner address"]
    site.answers["/robots.txt"] = endless(b"User-agent: *\nDisallow: /good\n", b"#" * 65536, 0.0, site.ending)
    assert _reasons(site, "/good.jpg") == ["robots.txt: disallowed"]
    site.answers["/robots.txt"] = endless(b"", b"#", 0.2, site.ending)
    assert _reasons(site, "/good.jpg") == ["robots.txt: time"]
    assert site.asked["/good.jpg"] == 1


def test_a_redirect_is_under_the_rules_of_where_it_leads(site: Hostile) -> None:
    site.answers["/moved.jpg"] = redirect("/private/good.jpg")
    site.files["/private/good.jpg"] = JPEG
    with hostile("127.0.0.2") as other:
        other.robots = (200, b"User-agent: *\nDisallow: /")
        site.answers["/away.jpg"] = redirect(f"{other.address}/good.jpg")
        assert _reasons(site, "/moved.jpg", "/away.jpg") == ["robots.txt: disallowed"] * 2
        assert other.requests == ["/robots.txt"]
    assert site.asked["/private/good.jpg"] == 0


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "inner address"),
        ("http://10.1.2.3/", "inner address"),
        ("http://[::1]:80/", "inner address"),
        ("http://[::ffff:192.168.0.1]/", "inner address"),
        ("http://0.0.0.0/", "inner address"),
        ("http://[fe80::1]/", "inner address"),
        ("file:///etc/passwd", "not an address"),
        ("ftp://example.org/a", "not an address"),
        ("http://:80/", "bad redirect"),
        ("", "bad redirect"),
        ("/moved.jpg", "redirect loop"),
    ],
)
def test_redirects_that_are_not_followed(site: Hostile, location: str, reason: str) -> None:
    site.answers["/moved.jpg"] = redirect(location)
    assert _reasons(site, "/moved.jpg") == [reason]


def test_no_connection_is_made_to_this_machine_by_any_name(site: Hostile) -> None:
    port = site.address.rpartition(":")[2]
    names = ("127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]", "2130706433", "127.1")
    found = _fetch(*(f"http://{name}:{port}/good.jpg" for name in names), care=Care(timeout=2.0, retries=0))
    assert [each.reason for each in found] == ["inner address"] * 5 + ["not an address"] * 2
    assert site.requests == []


def test_redirects_end(site: Hostile) -> None:
    for number in range(9):
        site.answers[f"/{number}"] = redirect(f"/{number + 1}")
    assert _reasons(site, "/0") == ["too many redirects"]
    assert site.asked["/6"] == 0


@pytest.mark.slow
def test_bodies_have_bounds(site: Hostile) -> None:
    site.answers |= {
        "/slow.jpg": endless(JPEG[:100], b"\0", 0.2, site.ending),
        "/endless.jpg": endless(JPEG[:100], bytes(1 << 20), 0.0, site.ending),
        "/silent.jpg": lambda _: site.ending.wait(20) and None,
        "/large.jpg": body(JPEG, length=9 << 20, Content_Type="image/jpeg"),
        "/cut.jpg": body(JPEG, length=len(JPEG) + 10, Content_Type="image/jpeg"),
        "/page.jpg": endless(b"<!doctype html>" * 4, b" " * 65536, 0.0, site.ending),
        "/html.jpg": body(b"<html>" * 10, Content_Type="text/html; charset=utf-8"),
        "/none.jpg": body(b"", Content_Type="image/jpeg"),
    }
    start = time.monotonic()
    paths = list(site.answers)
    found = dict(zip(paths, _reasons(site, *paths, care=Care(**_with(host_connections=9))), strict=True))
    assert found == {
        "/slow.jpg": "time",
        "/endless.jpg": "too many bytes",
        "/silent.jpg": "time",
        "/large.jpg": "too many bytes",
        "/cut.jpg": "cut short",
        "/page.jpg": "not an image: image/jpeg",
        "/html.jpg": "not an image: text/html",
        "/none.jpg": "",
    }
    assert time.monotonic() - start < 8


def test_what_is_not_given_is_told(site: Hostile) -> None:
    site.answers |= {
        "/gone.jpg": body(b"", status=410),
        "/asked.jpg": body(JPEG, X_Robots_Tag="otherbot: noindex, img2dataset: NoAI"),
        "/other.jpg": body(JPEG, X_Robots_Tag="otherbot: noai"),
        "/index.jpg": body(JPEG, X_Robots_Tag="unavailable_after: 25 Jun 2030 15:00:00 PST, noimageindex"),
        "/learning.jpg": body(JPEG, X_Robots_Tag="NoML"),
    }
    reasons = ["http 410", OPTED_OUT, "", OPTED_OUT, OPTED_OUT, "http 404"]
    assert _reasons(site, *site.answers, "/lost.jpg") == reasons
    found = _fetch("http://127.0.0.1:1/a.jpg", "http://no.such.name.invalid/a.jpg", "nonsense", "http://[/")
    assert [each.reason for each in found] == ["connect", "dns", "not an address", "not an address"]


def test_a_host_is_not_pressed(site: Hostile) -> None:
    site.files |= {f"/{number}.jpg": JPEG for number in range(12)}
    site.pause = 0.05
    with hostile("127.0.0.2") as other:
        other.files, other.pause = site.files, 0.05
        addresses = [f"{each.address}/{number}.jpg" for number in range(12) for each in (site, other)]
        found = _fetch(*addresses, care=Care(**_with(host_connections=2)))
        assert all(each.body == JPEG for each in found)
        assert (site.most_open, other.most_open) == (2, 2)


@pytest.mark.slow
def test_a_server_that_asks_for_a_pause_gets_it(site: Hostile) -> None:
    times: list[float] = []

    def busy(handler: object) -> None:
        times.append(time.monotonic())
        first = len(times) == 1
        body(JPEG, status=503 if first else 200, **({"Retry_After": "1"} if first else {}))(handler)  # type: ignore[arg-type]

    site.answers["/busy.jpg"] = busy
    (found,) = _fetch(f"{site.address}/busy.jpg", care=Care(**_with(retries=1)))
    assert found.body == JPEG
    assert times[1] - times[0] >= 1


def test_a_host_that_never_answers_is_given_up() -> None:
    found = _fetch(*(f"http://127.0.0.1:1/{number}.jpg" for number in range(3)))
    assert [each.reason for each in found] == ["connect"] * 3
    with hostile() as site:
        paths = [f"/{number}.jpg" for number in range(40)]
        site.answers |= dict.fromkeys(paths, body(JPEG, length=len(JPEG) + 1))
        reasons = _reasons(site, *paths)
        assert set(reasons) == {"cut short", "host given up"}
        assert site.asked.total() < 30
