"""The page in a real browser, and who may ask: tokens, names of the machine, methods, wrong arguments."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaclip.browse.server import BrowseServer, check_port
from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool
from tests.metaclip.browse.pool import HOSTILE, make

TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowseServer]:
    pool, index = make(tmp_path_factory.mktemp("app"))
    server = BrowseServer(pool, index, TOKEN)
    thread = server.start()
    yield server
    server.stop()
    thread.join(10)
    assert not thread.is_alive()


def _ask(server: BrowseServer, path: str, **headers: str) -> tuple[int, Any, Any]:
    base = server.url.partition("/?")[0]
    request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {TOKEN}", **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_only_who_has_the_token_may_ask(server: BrowseServer) -> None:
    assert _ask(server, "/api/pool")[0] == 200
    for path in ("/", "/browse.js", "/api/pool", "/picture/00", "/?token=wrong", "/nowhere"):
        for given in ("", "Bearer wrong", f"Bearer {TOKEN}x"):
            status, _, content = _ask(server, path, Authorization=given)
            assert status == 403, path
            assert b"wrong or no token" in content
    assert _ask(server, f"/?token={TOKEN}", Authorization="")[0] == 403  # the redirect comes without its cookie


def test_another_name_or_method_is_refused(server: BrowseServer) -> None:
    assert _ask(server, "/api/pool", Host="evil.example")[0] == 421
    request = urllib.request.Request(
        server.url.partition("/?")[0] + "/api/pool", b"x", {"Authorization": f"Bearer {TOKEN}"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 405


def test_every_answer_has_the_strict_headers(server: BrowseServer) -> None:
    for path in ("/", "/api/pool", "/api/size?t=x", "/nowhere"):
        _, headers, _ = _ask(server, path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = _ask(server, "/")[2].decode()
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count("<script src=") == 2


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/size?t=-1", "t: must be above 0"),
        ("/api/size?t=nan", "t: must be above 0"),
        ("/api/entry", "id: Field required"),
        ("/api/entry?id=x", "id: Input should be a valid integer"),
        ("/api/entry?id=4000", "no entry has the id 4000"),
        ("/api/names?kind=shoes", "kind: Input should be"),
        ("/api/reason?why=whim", "left out nothing for this reason"),
        ("/api/difference?other=none", "no finished pool 'none'"),
        ("/api/explain?text=%20", "white space alone"),
        ("/api/texts?seed=-1", "seed: Input should be greater"),
    ],
)
def test_a_wrong_question_gets_one_line(server: BrowseServer, path: str, told: str) -> None:
    status, _, content = _ask(server, path)
    assert status == 400
    message = json.loads(content)["error"]
    assert told in message
    assert "\n" not in message


def test_a_port_that_is_taken_is_told(server: BrowseServer) -> None:
    port = int(server.url.partition("/?")[0].rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"--port {port}"):
        check_port(port)


def test_pictures_of_a_pool_without_any_are_refused(server: BrowseServer, tmp_path: Path) -> None:
    from metaclip.browse.pictures import Pictures

    assert _ask(server, "/picture/00")[0] == 404
    root = next(iter(json.loads(_ask(server, "/api/pool")[2])["pools"]))
    assert root == "small"
    pool, _ = make(tmp_path, 40, 100)
    with pytest.raises(ConfigError, match="no picture of pool"):
        Pictures(FinishedPool.open(pool.store.root, "small"), str(tmp_path))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, server: BrowseServer) -> Iterator[Any]:
    """The page, which must have written nothing to the console at the end."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    faults: list[str] = []

    def note(message: Any) -> None:
        if message.type in ("error", "warning") and "400 (Bad Request)" not in message.text:  # a wrong t is told so
            faults.append(message.text)

    opened.on("console", note)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    opened.goto(server.url)
    opened.wait_for_selector("#at-t:not(:empty)")
    yield opened
    assert faults == []
    assert opened.title().endswith("small · metaclip")
    context.close()


def _open(page: Any, view: str, wait: str) -> None:
    page.evaluate("view => { location.hash = view }", view)
    page.wait_for_selector(wait)
    page.wait_for_selector("main[aria-busy=false]")


@pytest.mark.slow
def test_the_token_does_not_stay_in_the_address(page: Any) -> None:
    assert TOKEN not in page.url


@pytest.mark.slow
def test_hostile_texts_are_shown_and_not_obeyed(page: Any) -> None:
    for text in HOSTILE:
        word = "script" if "<script" in text else "onerror" if "<img" in text else "7" if "{{" in text else text
        _open(page, "texts", "ul.pairs")
        page.get_by_label("All of these words").fill(word)
        page.wait_for_function("() => document.querySelectorAll('ul.pairs > li').length < 20")
        page.wait_for_selector("main[aria-busy=false]")
        shown = page.locator("ul.pairs .text").all_inner_texts()
        plain = text.replace("\u202e", "⟨202E⟩").replace("\u202c", "⟨202C⟩").replace("\x1b", "⟨001B⟩")
        plain = plain.replace("\x07", "⟨0007⟩").replace("\x00", "\ufffd")
        assert plain in shown, (text, shown)
    assert page.locator("main script, main img").count() == 0
    assert page.locator("main [dir=auto] bdi").count() > 0
    _open(page, "entry?id=9", "dl.key")
    assert page.locator("main h2").inner_text() == "Entry </title><script>x"


@pytest.mark.slow
def test_it_can_be_used_by_keyboard_and_everything_has_a_name(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answers"
    names = []
    for _ in range(11):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.dataset.view || document.activeElement.id"))
    assert names[:8] == ["entries", "texts", "explain", "sizes", "reasons", "languages", "hosts", "compare"]
    assert names[8:10] == ["t", "slider"]
    page.focus("#slider")
    before = page.input_value("#t")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => document.getElementById('t').value !== before", arg=before)
    for view in (
        "entries",
        "texts",
        "explain?text=a dog",
        "sizes",
        "reasons",
        "languages",
        "hosts",
        "compare",
        "entry?id=0",
    ):
        _open(page, view, "main h2")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('input, select, textarea, button, a, [role=img], meter')]
                .filter((one) => !(one.labels && one.labels.length) && !one.getAttribute('aria-label')
                    && !one.textContent.trim()).map((one) => one.outerHTML)"""
        )
        assert nameless == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view


@pytest.mark.slow
def test_a_text_is_explained_while_one_types_and_t_changes_it(page: Any) -> None:
    _open(page, "explain", "textarea")
    page.get_by_label("The text, as it is on a page").press_sequentially("a (dog)")
    page.wait_for_selector("text=entries that it misses")
    page.wait_for_selector("td:has-text('punctuation')")
    page.get_by_role("textbox", name="t", exact=True).fill("inf")
    page.wait_for_selector("text=chance to be kept at t = inf")
    page.get_by_role("textbox", name="t", exact=True).fill("-3")
    page.wait_for_selector("[role=alert]:not([hidden])")
    assert "must be above 0" in page.locator("#fault").inner_text()
    page.get_by_role("textbox", name="t", exact=True).fill("5")
    page.wait_for_selector("[role=alert]", state="hidden")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(browser: Any, server: BrowseServer, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector("table")
    ratios = page.evaluate(
        """() => {
          const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => { const s = v / 255;
            return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const paper = light(getComputedStyle(document.body).backgroundColor);
          return ['body', '.soft', 'td a', 'caption'].map((one) => {
            const ink = light(getComputedStyle(document.querySelector(one)).color);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); });
        }"""
    )
    assert min(ratios) >= 4.5
    context.close()
