"""Images in columns give the pairs and the counts that `add_page` gives, to the byte."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.archive.records import read_records
from metaclip.config.settings import Extract
from metaclip.html.message import PageError, html_page, parse_message
from metaclip.html.tree import parse_page
from metaclip.kernels.jit import frozen
from metaclip.pairs import assembly as pair_columns
from metaclip.pairs import collector as collector_module
from metaclip.pairs.assembly_kernel import clean
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import PairCollector
from metaclip.pairs.image_columns import ATTRIBUTES, Attributes, ImageColumns
from metaclip.pairs.texts import clean_text
from tests.shared import shared_data

Page = list[dict[str, bytes]]


def columns(pages: list[Page]) -> ImageColumns:
    """Lay out images with rubbish between values, as scanners may."""
    data, spans = bytearray(b"\xff"), []
    for image in [image for page in pages for image in page]:
        row = []
        for name in ATTRIBUTES:
            value = image.get(name)
            row.append([len(data), len(data) + len(value)] if value is not None else [-1, -1])
            data += (value or b"") + b"<\xe2\x82"
        spans.append(row)
    return ImageColumns(
        np.frombuffer(data, np.uint8),
        np.array(spans, np.int32).reshape(-1, len(ATTRIBUTES), 2),
        np.cumsum([0, *map(len, pages)], dtype=np.int64),
    )


def check(urls: list[str], hrefs: list[str | None], pages: list[Page], **changed: object) -> PairBatch:
    rules = Extract.model_validate(changed)
    together, apart = PairCollector(rules, Counter()), PairCollector(rules, Counter())
    images = columns(pages)
    together.add_pages(urls, hrefs, images)
    for number, (url, href) in enumerate(zip(urls, hrefs, strict=True)):
        apart.add_page(url, href, images.attributes(number))
    assert dict(together.statistics) == dict(apart.statistics)
    found, expected = together.take() or PairBatch(), apart.take() or PairBatch()
    found.table.validate(full=True)
    assert found.table.equals(expected.table)
    return found


REFERENCES = st.one_of(
    st.text(alphabet="abAB09/.:?#%&=+-_~ '\"\\@[]|üé\t2eE", max_size=12).flatmap(
        lambda rest: st.sampled_from(
            [
                "",
                "/",
                "//",
                "//x.org/",
                "http://",
                "https://x.org",
                "http://x.org/",
                "data:",
                "a",
                "../",
                "/%2",
                "hTTp://a/",
            ]
        ).map(lambda start: start + rest)
    ),
    st.text(max_size=8),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
SPACES = "".join(character for character in map(chr, range(0x10000)) if character.isspace())
TEXTS = st.one_of(
    st.text(alphabet=SPACES + "ab\0é日😀\u200b\ufeff\u1681\u2007\u2030", max_size=8).map(str.encode),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=8),
    st.lists(st.sampled_from([0x20, 0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xA0, 0x8F, 0x85])).map(
        bytes
    ),
)
IMAGES = st.fixed_dictionaries(
    {},
    optional={name: TEXTS if name in ("alt", "title", "data-image-title") else REFERENCES for name in ATTRIBUTES},
)
PAGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["http://x.org/a/b?c/d", "https://x.org", "http://\u00fc.org/a", " <http://x.org/p/> ", "dns:x", ""]
        ),
        st.sampled_from([None, "", "/c/", "//cdn.org/a/./b", "http://Y.org:81/q", "data:,"]),
        st.lists(IMAGES, max_size=4),
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=120)
@given(PAGES, st.sampled_from([["alt", "title", "data-image-title"], ["title", "alt"], ["alt", "alt"]]), st.booleans())
def test_columns_equal_the_definition(
    pages: list[tuple[str, str | None, Page]], text_keys: list[str], lazy: bool
) -> None:
    changed = {"text_keys": text_keys} if lazy else {"text_keys": text_keys, "lazy_attributes": []}
    check([page[0] for page in pages], [page[1] for page in pages], [page[2] for page in pages], **changed)


def cleaned(value: bytes) -> bytes:
    out = np.zeros(3 * len(value), np.uint8)
    return out[: clean(frozen(np.frombuffer(value, np.uint8), np.uint8), 0, len(value), out, 0)].tobytes()


@pytest.mark.slow
@settings(max_examples=200)
@given(TEXTS)
def test_clean_equals_clean_text(value: bytes) -> None:
    assert cleaned(value) == clean_text(value.decode("utf-8", "replace")).encode()


def test_clean_equals_clean_text_for_every_character_and_start_of_one() -> None:
    for code in [
        *range(0x850),
        *range(0x1600, 0x1700),
        *range(0x1FF0, 0x2080),
        *range(0x2FF0, 0x3010),
        0xD7FF,
        0xE000,
        0xFEFF,
        0xFFFF,
        0x10000,
        0x3FFFF,
        0x40000,
        0x10FFFF,
    ]:
        for value in (b"a%bb", b"%b", b"a%b", b"%b%%b"):
            character = chr(code).encode("utf-8", "surrogatepass")
            value = value.replace(b"%b", character).replace(b"%%", b"%")
            assert cleaned(value) == clean_text(value.decode("utf-8", "replace")).encode(), code
    for first in range(0x80, 0x100):
        for second in (0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF):
            for rest in (b"", b"\x80", b"\x80\x80", b"a", b"\x80a", b"\x80\xc0", b"\x80\x80\x80"):
                value = bytes([first, second]) + rest
                assert cleaned(value) == clean_text(value.decode("utf-8", "replace")).encode(), value


def test_clean_equals_clean_text_in_blocks_of_any_kind() -> None:
    """Eight bytes at a time are copied where they may be: at any place there may be one that may not."""
    rng = np.random.default_rng(1)
    for odd in (" ", "\t", "\0", "\x1f", "\x01", "\x7f", "\u00e9", "\u00a0", "\u3000", "\udc80", "  "):
        alphabet = ["a", "b", "c", "d", "e", " ", odd]
        for _ in range(300):
            text = "".join(rng.choice(alphabet, rng.integers(41), p=[0.16, 0.16, 0.16, 0.16, 0.16, 0.14, 0.06]))
            value = text.encode("utf-8", "surrogatepass")
            assert cleaned(value) == clean_text(value.decode("utf-8", "replace")).encode(), value


@pytest.mark.slow
def test_references_equal_the_definition_wherever_something_stands_in_them() -> None:
    parts = ["/", "/.", "/./", "/../", "/%2e", "/%2E/", "/%2f", "/%", ".", "%", "?", "?/.", "#", "#/.", ":", " "]
    parts += ["\u00e9", "\\", '"', "'", "<", "|", "[", "\0", "\t", "\x7f", "?'", "?`"]
    starts = ["", "/", "/.", "../", "//x.org/", "https://x.org/", "http://x.org"]
    references = [
        start + "a" * before + part + "b" * after
        for start in starts
        for part in parts
        for before in (*range(10), 15, 16, 17)
        for after in (0, 1, 7, 8, 9, 20)
    ]
    page = [{"src": reference.encode(), "alt": b"text"} for reference in references]
    assert len(check(["https://y.org/c/d"], [None], [page])) > len(page) // 2


def test_pages_too_large_for_a_column_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Page] = [
        [{"src": b"%d.jpg" % i, "alt": b"text %d" % i, "title": b"t"} for i in range(n)] for n in (5, 0, 90, 3)
    ]
    monkeypatch.setattr(pair_columns, "_MOST_BYTES", 500)
    found = check([f"http://x.org/{i}/" for i in range(4)], [None] * 4, pages)
    assert len(found) == 2 * 98


def test_nothing_gives_nothing() -> None:
    check([], [], [])
    check(["http://x.org/"], [None], [[]])
    check(["dns:x.org"], [None], [[{"src": b"http://x.org/a.jpg", "alt": b"x"}]])


def mutated(seed: int, count: int) -> list[Page]:
    """Images whose values are cut, changed and run together."""
    rng = np.random.default_rng(seed)
    words = [b"http://", b"https://x.org/", b"//y.org", b"/", b"..", b".", b"%2e", b"?", b"#", b":", b"a", b"Z9", b" "]
    words += [
        b"data:",
        b"\xc2\xa0",
        b"\xe3\x80\x80",
        b"\xe2\x80\x88",
        b"\xff",
        b"\0",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"w, ",
    ]
    pages: list[Page] = []
    for _ in range(count):
        page = []
        for _ in range(rng.integers(0, 6)):
            names = [name for name in ATTRIBUTES if rng.random() < 0.6]
            page.append(
                {name: b"".join(words[i] for i in rng.integers(0, len(words), rng.integers(0, 7))) for name in names}
            )
        pages.append(page)
    return pages


def test_mutated_images_equal_the_definition() -> None:
    pages = mutated(1, 1000)
    check([f"http://x.org/{i % 7}/b" for i in range(1000)], [None, "c/"] * 500, pages)


def test_real_pages_equal_the_definition() -> None:
    urls, hrefs, pages = [], [], []
    for path in (
        shared_data("crawl", "warc", "CC-MAIN-PUBLIC-00003.warc.gz"),
        shared_data("wild", "allenai+dolma__sample-0000.warc.gz"),
    ):
        for record in read_records(str(path), frozenset({"response"}), Counter()):
            try:
                page = parse_page(html_page(parse_message(record.body), 16 << 20))
            except PageError:
                continue
            urls.append(record.url)
            hrefs.append(page.base)
            pages.append([encoded(image) for image in page.images])
    assert len(check(urls, hrefs, pages)) > 1000


def encoded(image: Attributes) -> dict[str, bytes]:
    return {name: value.encode() for name, value in image.items() if value is not None}


LONG_PAGES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "http://x.org/a/b?c/d",
                "http://x.org/" + 60 * "p",
                "http://x.org/p?" + 50 * "q",
                "http://ü.org/é",
                "dns:x",
            ]
        ),
        st.sampled_from([None, "/c/", "/" + 60 * "b" + "/", "/c/" + 60 * "b", "//ü." + 50 * "ß" + "/"]),
        st.lists(
            st.fixed_dictionaries(
                {"alt": st.sampled_from([b"a", b"cat " * 20, b"\xff" * 30, b"\xff" * 11, b"x  " * 32 + b"y", b""])},
                optional={
                    name: st.one_of(
                        REFERENCES, st.sampled_from([b"p" * 70, b"\xff" * 9, b"?q", b"x y" * 9, "é".encode() * 12])
                    )
                    for name in ("src", "data-src", "srcset", "title")
                },
            ),
            max_size=12,
        ),
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=200)
@given(LONG_PAGES, st.sampled_from([64, 80, 120]), st.sampled_from([1024, 1500, 1 << 20]))
def test_limits_equal_the_definition(
    pages: list[tuple[str, str | None, Page]], max_address_bytes: int, max_pairs_bytes: int
) -> None:
    changed = {"max_address_bytes": max_address_bytes, "max_pairs_bytes": max_pairs_bytes, "max_text_bytes": 65}
    found = check([page[0] for page in pages], [page[1] for page in pages], [page[2] for page in pages], **changed)
    assert all(len(url) <= max_address_bytes for url in found.urls)
    assert all(len(url.encode()) <= max_address_bytes for url in found.page_urls)
    assert all(len(text.encode()) <= 65 for text in found.texts)


@pytest.mark.slow
@pytest.mark.parametrize("lower", [False, True])
def test_a_page_that_is_made_to_give_much_takes_no_memory(lower: bool) -> None:
    """A base of 100 kB with 200,000 images would give 20 GB of addresses, one of 8 kB half a GB for each text."""
    good: Page = [{"src": b"/x.png", "alt": b"a red cat"}]
    many: Page = [{"src": b"%d" % number, "alt": b"cat"} for number in range(20_000)]
    size = 8000 if lower else 100_000
    url = f"http://a.org/{'p' * size}/"
    collector = PairCollector(Extract(), Counter())
    before = pa.total_allocated_bytes()
    collector.add_pages(
        ["http://good.org/", "http://b.org/", url, "http://good.org/"],
        [None, url, None, None],
        columns([good, many, many, good]),
    )
    assert pa.total_allocated_bytes() - before < 64 << 20
    batch = collector.take()
    assert batch is not None
    assert batch.urls == ["http://good.org/x.png"] * 2
    reason = "dropped.page.pairs_too_large" if lower else "dropped.page.address_too_long"
    assert collector.statistics[reason] == 2
    assert collector.statistics["pages"] == 2


@pytest.mark.slow
def test_batches_that_wait_are_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "HELD_BYTES", 1 << 20)
    rules = Extract(max_pairs_bytes=2 << 20)
    collector, plain = PairCollector(rules, Counter()), PairCollector(rules, Counter())
    page: Page = [{"src": b"p" * 900 + b"%d" % number, "alt": b"cat"} for number in range(500)]
    for _ in range(30):
        collector.add_pages(["http://a.org/"] * 3, [None] * 3, columns([page] * 3))
    assert sum(one.table.nbytes for one in collector._batches if isinstance(one, PairBatch)) < 8 << 20
    batches = list(iter(collector.take_full, None))
    for _ in range(90):
        plain.add_page("http://a.org/", None, columns([page]).attributes(0))
    rest, expected = collector.take() or PairBatch(), plain.take()
    assert expected is not None
    assert PairBatch.concatenate([*batches, rest]).table.equals(expected.table)
    assert collector.statistics == plain.statistics
