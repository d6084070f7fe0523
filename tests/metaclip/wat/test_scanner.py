"""Records scanned as bytes give what `add_metadata` gives, and only valid JSON is taken."""

import json
import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.archive.batches import RecordBatch
from metaclip.archive.records import read_records
from metaclip.config.settings import Extract
from metaclip.pairs.batch import PairBatch
from metaclip.pairs.collector import PairCollector
from metaclip.sources.wat import add_records
from metaclip.wat.definition import add_metadata
from metaclip.wat.scan_kernel import LEFT, MOST_DIRECTIVES, PAGE, PASSED_OVER
from metaclip.wat.scanner import scan
from metaclip.wat.string_kernel import LANES
from tests.metaclip.wat.test_definition import broken, link, record
from tests.shared import shared_data

URL = "http://x.org/p/"


def check(records: list[tuple[str, bytes]], **changed: object) -> PairBatch:
    rules = Extract.model_validate(changed)
    together, apart = PairCollector(rules, Counter()), PairCollector(rules, Counter())
    add_records(RecordBatch.of(records), rules, together)
    for page_url, body in records:
        add_metadata(page_url, body, rules, apart)
    assert dict(together.statistics) == dict(apart.statistics)
    found, expected = together.take() or PairBatch(), apart.take() or PairBatch()
    assert found.table.equals(expected.table)
    # Whatever was taken is JSON to the letter; only bytes that are not UTF-8 are put up with.
    for (_, body), kind in zip(records, scan(RecordBatch.of(records)).kinds, strict=True):
        if kind != LEFT:
            assert isinstance(json.loads(body.decode("utf-8", "replace")), dict)
    return found


def real_records(*parts: str) -> list[tuple[str, bytes]]:
    records = read_records(str(shared_data(*parts)), frozenset({"metadata"}), Counter(), 1 << 26)
    return [(record.url, record.body) for record in records]


@pytest.mark.parametrize("shard", range(6))
def test_real_records_are_scanned(shard: int) -> None:
    records = real_records("crawl", "wat", f"CC-MAIN-PUBLIC-0000{shard}.warc.wat.gz")
    assert len(check(records)) > 1000
    kinds = Counter(scan(RecordBatch.of(records)).kinds.tolist())
    assert kinds[LEFT] <= 5
    assert kinds[PAGE] > 200
    assert kinds[PASSED_OVER] > 400


@pytest.mark.parametrize(
    "name",
    [
        "r-spark+sparkwarc__sample.wat",
        "r-spark+sparkwarc__sample.wat.gz",
        "commoncrawl+whirlwind-python__whirlwind.warc.wat.gz",
    ],
)
def test_wild_records_give_the_same(name: str) -> None:
    check(real_records("wild", name))


def kind(body: Any) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    check([(URL, raw)])
    return int(scan(RecordBatch.of([(URL, raw)])).kinds[0])


HTML = ("Envelope", "Payload-Metadata", "HTTP-Response-Metadata", "HTML-Metadata")


@pytest.mark.parametrize(
    "body",
    [
        record([link(alt="x", title=None), {"path": None}, {}, {"url": "a"}]),
        record([link(alt='\u00fc \U0001f600 " \\ / \b\f\n\r\t \x7f')]),
        record([link("a&amp;b", alt="&lt;&notit;&#65;&", title="&nbsp;", **{"data-image-title": "&"})]),
        record([link(alt="x")], {"Base": "/&amp;/\u00fc/", "Metas": [{"name": " Robots ", "content": "no\u0061i"}]}),
        record([link(alt="x")], {"Metas": [{"name": "robots"}, {"http-equiv": None, "content": "noai"}, {}]}),
        record([link(alt="x")], headers={"content-TYPE": "text/html", "Via": ["a", "b"], "Age": []}),
        record([link(alt="x")], headers={"content-TYPE": "text/plain"}),
        record([link(alt="x")], headers={"X-Robots-Tag": "noimageai", "A": ""}),
        record([link(alt="x", x=[1, -0.5, 1e9, 2.5e-3, True, False, None, {"a": [[], {}]}, "\\u"])]),
        record([], {}),
    ],
)
def test_usual_records_are_taken(body: Any) -> None:
    assert kind(body) == PAGE
    assert kind(json.dumps(body, indent=1, ensure_ascii=False).encode()) == PAGE
    assert kind(b" \r\n\t" + json.dumps(body, separators=(",", ":")).encode() + b"\n ") == PAGE


@pytest.mark.parametrize("kind_of", ["request", "metadata", "warcinfo", "x"])
def test_other_records_are_passed_over(kind_of: str) -> None:
    assert kind({"Envelope": {"WARC-Header-Metadata": {"WARC-Type": kind_of}}}) == PASSED_OVER


VALID = json.dumps(record([link(alt="TEXT", z=["SKIPPED"])])).encode()


@pytest.mark.parametrize("place", [b'"TEXT"', b'["SKIPPED"]'])
@pytest.mark.parametrize(
    "value",
    [
        rb'"\ud83d"', rb'"\ud83d\u0041"', rb'"\ude00\ud83d"', rb'"\ude00"', rb'"\x41"', rb'"\u12"', rb'"\u12g4"',
        rb'"\"', b'"a\tb"', b'"a\0b"', b'"', b"", b"nul", b"nulL", b"truE", b"+1", b"01", b"1.", b".5", b"1e", b"1e+",
        b"-", b"--1", b"0x1", b"NaN", b"Infinity", b"[1,]", b"[,]", b"[1 2]", b"[", b"]", b"{", b'{"a"}', b'{"a":}',
        b'{"a":1,}', b"{a:1}", b'{"a":1 "b":2}', b"[" * 70 + b"]" * 70, b"[1}", b'{"a":1]', b"'a'", b'"a" "b"',
        b"/**/1", b"\xef\xbb\xbf1",
    ],
)  # fmt: skip
def test_what_is_not_json_or_too_odd_is_left(place: bytes, value: bytes) -> None:
    assert kind(VALID.replace(place, value)) == LEFT


@pytest.mark.parametrize("value", [b"", b"{}", b"x", b",", b"]", b"\0", b"\xef\xbb\xbf", VALID])
def test_what_stands_around_the_object_is_noticed(value: bytes) -> None:
    assert kind(VALID + value) == (PAGE if not value else LEFT)
    assert kind(value + VALID) == (PAGE if not value else LEFT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"alt": "TEXT"', b'"alt": "TEXT", "alt": "other"'),
        (b'"alt": "TEXT"', rb'"al\u0074": "TEXT"'),
        (b'"alt": "TEXT"', b'"alt": "TEXT", "alt": null'),
        (b'"alt": "TEXT"', b'"alt": 5'),
        (b'"alt": "TEXT"', b'"": 5'),
        (b"IMG@/src", rb"IMG@\/src"),
        (b'"Links": ', b'"Links": [], "Links": '),
        (b'"Head": ', b'"Head": {}, "Head": '),
        (b'"Head": {', b'"Head": {"Base": "/a/", "Base": "/b/"'),
        (b'"Head": {', b'"Head": {"Metas": [], "Metas": []'),
        (b'"Head": {', b'"Head": {"Metas": [{"name": "a", "name": "robots"}]'),
        (b'"Head": {', b'"Head": {"Metas": [{"name": "r\xc3\xb6bots", "content": "noai"}]'),
        (b'"Head": {', b'"Head": {"Metas": [null]'),
        (b'"HTML-Metadata": ', b'"HTML-Metadata": {}, "HTML-Metadata": '),
        (b'"Content-Type": ', b'"Content-type": "image/png", "Content-Type": '),
        (b'"Content-Type": "text/html"', b'"Content-Type": ["image/png", "text/html"]'),
        (b'"Content-Type": ', b'"X-Robots-Tag": "a", "x-robots-tag": "noai", "Content-Type": '),
        (b'"Content-Type": ', b'"Via": [1], "Content-Type": '),
        (b'"Content-Type": ', b'"Via": null, "Content-Type": '),
        (b'"WARC-Type": ', b'"WARC-Type": "request", "WARC-Type": '),
        (b'"WARC-Type": "response"', b'"WARC-Type": 5'),
        (b'"Envelope": ', b'"Envelope": {}, "Envelope": '),
    ],
)
def test_what_is_unusual_is_left(old: bytes, new: bytes) -> None:
    assert old in VALID
    assert kind(VALID.replace(old, new, 1)) == LEFT


def test_records_do_not_run_into_each_other() -> None:
    """Each breaks off in another place; those around it are not touched."""
    whole = json.dumps(record([link(alt="a\u00fcb", title="\n")])).encode()
    cut = [(URL, whole[:end]) for end in range(len(whole))]
    mixed = [one for pair in zip(cut, [(URL, whole)] * len(cut), strict=True) for one in pair]
    assert len(check(mixed)) == len(cut)


def test_more_directives_than_there_is_room_for_are_left() -> None:
    for number in range(MOST_DIRECTIVES - 1, MOST_DIRECTIVES + 3):
        metas = [{"name": "robots", "content": "all"}] * (number - 1) + [{"name": "robots", "content": "noai"}]
        assert kind(record([link(alt="x")], {"Metas": metas})) == (PAGE if number <= MOST_DIRECTIVES else LEFT)
        body = record([link(alt="x")], {"Metas": metas}, {"X-Robots-Tag": "none"})
        assert kind(body) == (PAGE if number < MOST_DIRECTIVES else LEFT)


def test_broken_parts_amid_pages_keep_the_order() -> None:
    bodies = [record([link(alt=f"text {i}")]) for i in range(9)]
    bodies[3] = broken(*HTML, "Links", value=[5, link(alt="text 3")])
    bodies[5] = record([link(alt="x")], headers={"Content-Type": "image/png"})
    found = check([(URL if i != 7 else "", json.dumps(body).encode()) for i, body in enumerate(bodies)])
    assert found.texts == [f"text {i}" for i in range(9) if i != 5]


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(item, order)) for key, item in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


TEXTS = st.none() | st.text(alphabet='ab &;#3x"\\/\n\té😀\u2028', max_size=8)
LINKS = st.fixed_dictionaries(
    {"path": st.sampled_from(["IMG@/src", "A@/href", "IMG@/src"])},
    optional={"url": TEXTS, "alt": TEXTS, "title": TEXTS, "data-image-title": TEXTS, "text": TEXTS, "n": st.floats()},
)
HEADS = st.fixed_dictionaries(
    {},
    optional={
        "Base": TEXTS,
        "Title": TEXTS,
        "Metas": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": st.sampled_from(["robots", "CCBot ", "description", "x-robots-tag"]),
                    "http-equiv": TEXTS,
                    "content": st.sampled_from(["noai", "all", "a, NoImageAI", ""]),
                },
            ),
            max_size=3,
        ),
    },
)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(st.lists(LINKS, max_size=4), max_size=3),
    HEADS,
    st.randoms(use_true_random=False),
    st.booleans(),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,", " :"), (",  ", ":\n")]),
)
def test_any_order_of_names_and_layout_gives_the_same(
    pages: list[list[dict[str, Any]]],
    head: dict[str, Any],
    order: random.Random,
    plain: bool,
    separators: tuple[str, str],
) -> None:
    bodies = [shuffled(record(links, head), order) for links in pages]
    texts = [json.dumps(body, ensure_ascii=plain, allow_nan=True, separators=separators) for body in bodies]
    check([(URL, text.encode()) for text in texts])


LAYOUTS = [(", ", ": "), (",", ":")]


@pytest.mark.parametrize("separators", LAYOUTS)
@pytest.mark.parametrize("gap", [b" ", b"  ", b"\t", b"\r\n"])
def test_white_space_may_stand_between_any_tokens(separators: tuple[str, str], gap: bytes) -> None:
    links = [{"path": "A@/href", "url": "/", "text": "b"}, link(alt="TEXT", n=[1, {"a": None}]), {}, link(alt="x")]
    body = json.dumps(record(links), separators=separators).encode()
    bodies = [body[: token.start()] + gap + body[token.start() :] for token in TOKENS.finditer(body)] + [body + gap]
    assert len(bodies) > 100
    assert len(check([(URL, body) for body in bodies])) == 2 * len(bodies)
    assert set(scan(RecordBatch.of([(URL, body) for body in bodies])).kinds.tolist()) == {PAGE}


TOKENS = re.compile(rb'"[^"]*"|[][{}:,]|[^][{}:, "]+')


READ = {"path", "url", "alt", "title", "data-image-title"}


def links_are_in_order(text: str) -> bool:
    """Tell whether in each object the names that are read are there once at most, with a string or null."""
    in_order = True

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal in_order
        read = [(name, value) for name, value in pairs if name in READ]
        in_order &= len(read) == len(dict(read)) and all(value is None or isinstance(value, str) for _, value in read)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    return in_order


@pytest.mark.parametrize("separators", LAYOUTS)
def test_links_of_any_form_are_told_apart(separators: tuple[str, str]) -> None:
    """Amid plain links; with a name twice, or a value of another type, the record is left."""
    image = {"path": "IMG@/src", "url": "/a", "alt": "TEXT"}
    values = ["IMG@/src", "A@/href", "IMG@/srcs", "IMG@/sr", "", "x", None, 5, ["IMG@/src"], {"path": "IMG@/src"}]
    records, usual = list[tuple[str, bytes]](), list[bool]()
    for name in [*sorted(READ), "text", "pat", "paths", "urls", "al", "rel"]:
        for value in values:
            part = {name: value}
            for odd in (part, {**part, **image}, {**image, **part}, {"path": "IMG@/src", **part}):
                body = json.dumps(record([image, odd, image]), separators=separators)
                again = body.replace('"TEXT"', f'"TEXT"{separators[0]}"{name}"{separators[1]}{json.dumps(value)}')
                for text in (body, again):
                    records.append((URL, text.encode()))
                    usual.append(links_are_in_order(text))
    check(records)
    assert (scan(RecordBatch.of(records)).kinds == PAGE).tolist() == usual


ESCAPES = [
    rb"\"", rb"\\", rb"\\\"", rb"\\\\", rb"\u0022", rb"\u005c", rb"\ud83d\ude00", rb"\u00e9\"", rb"\n", rb"\"\"\"",
    b"\\", b"\\\\\\", rb"\u12", rb"\ud83d", rb"\ud83d\n", rb"\ude00", rb"\x", b"\n", b"\0", b'"',
]  # fmt: skip


@pytest.mark.parametrize("escape", ESCAPES)
def test_escapes_mean_the_same_at_any_place(escape: bytes) -> None:
    """Quotes are found in blocks: an escape may go on in the next, and a block may be full of quotes."""
    records = []
    for before in range(LANES + 16):
        for text in (b"x" * before + escape, b"x" * before + escape + b"y" * 70, b"\\" * (before & ~1) + escape):
            body = VALID.replace(b"TEXT", text).replace(b"SKIPPED", text)
            records.append((URL, b" " * (-len(body) % LANES) + body))
    check(records)
    kinds = set(scan(RecordBatch.of(records)).kinds.tolist())
    assert kinds == {PAGE if ESCAPES.index(escape) < 10 else LEFT}


def test_blocks_full_of_quotes_are_read() -> None:
    for before in range(LANES):
        body = VALID.replace(b'["SKIPPED"]', b" " * before + b"[" + b'"",' * 100 + b'"":""]')
        assert kind(body) == LEFT
        assert kind(body.replace(b'"":""', b'""')) == PAGE


def mutated(bodies: list[bytes], seed: int, count: int) -> list[tuple[str, bytes]]:
    """Records with bytes cut, changed, put in, repeated and moved."""
    rng = np.random.default_rng(seed)
    pieces = [
        *(bytes([byte]) for byte in b'"\\{}[],:&;0-.eun \0\x1f\x80'),
        b"null",
        b"true",
        b'\\"',
        b"\\u00e9",
        b"\\ud83d",
    ]
    pieces += [
        b"\\ude00",
        b'"alt": "x"',
        b'"path": "IMG@/src"',
        b"IMG@/src",
        b"\xc3\xbc",
        b"\xff",
        b"&amp;",
        b"[]",
        b"{}",
        b'""',
    ]
    records = []
    for _ in range(count):
        body = bytearray(bodies[rng.integers(len(bodies))])
        for _ in range(int(rng.integers(1, 4))):
            at, size = int(rng.integers(len(body) + 1)), int(rng.integers(1, 12))
            match rng.integers(5):
                case 0:
                    body[at : at + size] = b""
                case 1:
                    body[at:at] = pieces[rng.integers(len(pieces))]
                case 2:
                    body[at : at + 1] = pieces[rng.integers(len(pieces))]
                case 3:
                    body[at:at] = body[at : at + 5 * size]
                case _:
                    other = int(rng.integers(len(body) + 1))
                    body[at:at] = body[other : other + 3 * size]
        records.append((URL if rng.random() < 0.95 else "", bytes(body)))
    return records


def small_records() -> list[bytes]:
    metas = [{"name": "robots", "content": "all"}, {"http-equiv": "refresh", "content": "1"}]
    links = [
        link(alt="a \u00fc\n\U0001f600", title="&amp;"),
        link("/b?x=1&y;", **{"data-image-title": "t"}),
        {"path": "A@/href"},
    ]
    page = record(
        links, {"Base": "/c/", "Metas": metas}, {"Content-Type": "text/html", "x-robots-tag": "a", "Via": ["b"]}
    )
    other = {"Envelope": {"WARC-Header-Metadata": {"WARC-Type": "request", "n": -1.5e3}, "Payload-Metadata": {}}}
    return [json.dumps(body, ensure_ascii=plain).encode() for body in (page, other) for plain in (True, False)]


def test_mutated_records_give_the_same() -> None:
    check(mutated(small_records(), 1, 4000))


def test_mutated_real_records_give_the_same() -> None:
    bodies = [
        body for _, body in real_records("crawl", "wat", "CC-MAIN-PUBLIC-00001.warc.wat.gz") if len(body) < 20_000
    ]
    check(mutated(bodies, 2, 300))
