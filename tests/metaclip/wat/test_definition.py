"""TODO: tests/metaclip/wat/test_definition.py."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.archive.batches import RecordBatch
from metaclip.config.settings import Extract
from metaclip.pairs.collector import PairCollector
from metaclip.sources import wat
from metaclip.sources.wat import add_records, read_wat
from metaclip.wat import definition
from metaclip.wat.definition import add_metadata
from tests.metaclip.sources.test_warc import PAGE, assert_sums, write_warc
from tests.shared import shared_data


def link(url: str | None = "a.jpg", **texts: object) -> dict[str, Any]:
    return {"path": "IMG@/src", "url": url, **texts}


def record(links: Any = (), head: Any = None, headers: Any = None, kind: str = "response") -> dict[str, Any]:
    page = {"Head": head or {}, "Links": list(links) if isinstance(links, tuple) else links}
    response = {"Headers": headers or {"Content-Type": "text/html"}, "HTML-Metadata": page}
    return {
        "Container": {"Filename": "x.warc.gz"},
        "Envelope": {
            "WARC-Header-Metadata": {"WARC-Type": kind, "WARC-Target-URI": PAGE},
            "Payload-Metadata": {"HTTP-Response-Metadata": response},
        },
    }


def pairs(body: Any, page_url: str = PAGE, **settings: object) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Read one record, both ways."""
    configuration = Extract.model_validate(settings)
    collector, scanned = (PairCollector(configuration, Counter()) for _ in range(2))
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    add_metadata(page_url, raw, configuration, collector)
    add_records(RecordBatch.of([(page_url, raw)]), configuration, scanned)
    assert dict(scanned.statistics) == dict(collector.statistics)
    batch, other = collector.take(), scanned.take()
    assert (batch is None) == (other is None)
    assert batch is None or batch.table.equals(other.table)
    return (list(zip(batch.urls, batch.texts, strict=True)) if batch else []), collector.statistics


def test_a_page() -> None:
    links = [
        {"path": "A@/href", "url": "/x", "text": "a link", "title": "not an image"},
        link("/i/a b.jpg", alt=" hello\n world "),
        {"path": "IMG@/longdesc", "url": "/long", "alt": "no image either"},
        link("c.jpg", alt="c", title="C", **{"data-image-title": "c-1"}),
        link("d.jpg", alt=""),
        {"path": "IMG@/src", "alt": "no url"},
    ]
    found, statistics = pairs(record(links, {"Base": "http://cdn.org/b/", "Title": "x"}))
    assert found == [
        ("http://cdn.org/i/a%20b.jpg", "hello world"),
        ("http://cdn.org/b/c.jpg", "c"),
        ("http://cdn.org/b/c.jpg", "C"),
        ("http://cdn.org/b/c.jpg", "c-1"),
    ]
    assert statistics == {
        "responses": 1,
        "pages": 1,
        "images": 4,
        "images_kept": 2,
        "texts": 4,
        "dropped.image.no_text": 1,
        "dropped.image.no_address": 1,
    }


def test_lazy_attributes_are_not_to_be_had() -> None:
    found, statistics = pairs(record([{**link("data:,", alt="x"), "data-src": "a.jpg"}]))
    assert found == []
    assert statistics["dropped.image.data_address"] == 1


def test_undecoded_references_are_decoded() -> None:
    links = [link("/x?a=1&amp;b=2", alt="R&amp;D", title="&#169;")]
    found, _ = pairs(record(links, {"Base": "http://cdn.org/?a&amp;b"}))
    assert found == [("http://cdn.org/x?a=1&b=2", "R&D"), ("http://cdn.org/x?a=1&b=2", "©")]


@pytest.mark.parametrize("kind", ["request", "metadata", "warcinfo"])
def test_other_records_are_no_pages(kind: str) -> None:
    body = record()
    body["Envelope"] = {"WARC-Header-Metadata": {"WARC-Type": kind}, "Payload-Metadata": {"HTTP-Request-Metadata": {}}}
    assert pairs(body) == ([], Counter())


def broken(*path: str, value: Any = ...) -> dict[str, Any]:
    """A page with one part left out, or replaced."""
    body = node = record([link(alt="x")])
    for key in path[:-1]:
        node = node[key]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return body


PAYLOAD = ("Envelope", "Payload-Metadata")
RESPONSE = (*PAYLOAD, "HTTP-Response-Metadata")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "record.bad_json"),
        (b"{", "record.bad_json"),
        (b"\xff\xfe", "record.bad_json"),
        (b"[]", "record.bad_json"),
        (b"null", "record.bad_json"),
        (b"[" * 100_000, "record.bad_json"),
        (json.dumps(record([link(alt="x")])).encode()[:-9], "record.bad_json"),
        ({}, "record.no_envelope"),
        ({"Envelope": None}, "record.no_envelope"),
        ({"Envelope": [1]}, "record.no_envelope"),
        ({"Envelope": {}}, "record.no_payload"),
        ({"Envelope": {"Payload-Metadata": 5}}, "record.no_payload"),
        (broken(*PAYLOAD), "page.no_payload"),
        (broken(*PAYLOAD, value=None), "page.no_payload"),
        (broken(*PAYLOAD, value="x"), "page.no_payload"),
        (broken(*RESPONSE), "page.no_payload"),
        (broken(*RESPONSE, value=[]), "page.no_payload"),
        (broken(*RESPONSE, "HTML-Metadata"), "page.not_html"),
        (broken(*RESPONSE, "HTML-Metadata", value=None), "page.not_html"),
        (broken(*RESPONSE, "HTML-Metadata", value=7), "page.not_html"),
        (broken(*RESPONSE, "Headers", value={"content-type": "application/pdf"}), "page.not_html"),
        (broken(*RESPONSE, "Headers", value={"Content-Type": ["text/html", "image/png"]}), "page.not_html"),
    ],
)
def test_unusable_records_are_counted(body: Any, reason: str) -> None:
    found, statistics = pairs(body)
    assert found == []
    assert statistics["dropped." + reason] == 1
    assert sum(count for name, count in statistics.items() if name.startswith("dropped")) == 1
    assert_sums(statistics)


@pytest.mark.parametrize(
    "body",
    [
        broken("Envelope", "WARC-Header-Metadata"),
        broken("Envelope", "WARC-Header-Metadata", value=[]),
        broken("Container", value=5),
        broken(*RESPONSE, "Headers"),
        broken(*RESPONSE, "Headers", value=None),
        broken(*RESPONSE, "Headers", value=[1]),
        broken(*RESPONSE, "Headers", value={"Content-Type": 5, "Via": {"a": 1}}),
        broken(*RESPONSE, "Headers", value={"Content-Type": []}),
        broken(*RESPONSE, "Headers", value={"Content-Type": ["image/png", "Text/HTML; charset=x"]}),
        broken(*RESPONSE, "HTML-Metadata", "Head"),
        broken(*RESPONSE, "HTML-Metadata", "Head", value=None),
        broken(*RESPONSE, "HTML-Metadata", "Head", value=["x"]),
        broken(*RESPONSE, "HTML-Metadata", "Head", value={"Base": 5, "Metas": "x"}),
        broken(*RESPONSE, "HTML-Metadata", "Head", value={"Metas": [None, 5, {"name": 5, "content": []}]}),
        broken(*RESPONSE, "HTML-Metadata", "Links", value=[None, 5, {"path": 5}, link(alt="x", title=None)]),
        broken(*RESPONSE, "HTML-Metadata", "Links", value=[link(alt="x", title=["t"]), link(5, alt=[])]),
        broken(*RESPONSE, "HTML-Metadata", "Links", value=link(alt="x")),
    ],
)
def test_a_part_of_the_wrong_type_costs_only_itself(body: Any) -> None:
    found, statistics = pairs(body)
    assert found == [("http://x.org/p/a.jpg", "x")]
    assert_sums(statistics)


@pytest.mark.parametrize("links", [None, [], 5, "x"])
def test_a_page_without_links(links: Any) -> None:
    found, statistics = pairs(broken(*RESPONSE, "HTML-Metadata", "Links", value=links))
    assert found == []
    assert +statistics == {"responses": 1, "pages": 1}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"a \ud83d dog"', "a \ufffd dog"),
        (b'"a \xff dog"', "a \ufffd dog"),
        (b'"a \t\n dog"', "a dog"),
        (rb'"a\u0000dog"', "a\ufffddog"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
    ],
)
def test_broken_strings_still_give_a_text(raw: bytes, text: str) -> None:
    body = json.dumps(record([link(alt="TEXT")])).encode().replace(b'"TEXT"', raw)
    assert pairs(body)[0] == [("http://x.org/p/a.jpg", text)]


def test_the_page_address_is_the_record_s_or_the_envelope_s() -> None:
    body = record([link(alt="x")])
    assert pairs(body, "https://y.org/z/")[0] == [("https://y.org/z/a.jpg", "x")]
    assert pairs(body, "")[0] == [("http://x.org/p/a.jpg", "x")]
    del body["Envelope"]["WARC-Header-Metadata"]
    assert pairs(body, "")[1] == {"responses": 1, "dropped.page.no_address": 1}


@pytest.mark.parametrize(
    ("head", "headers", "dropped"),
    [
        ({"Metas": [{"name": "ROBOTS", "content": "noindex,noai"}]}, {}, True),
        ({"Metas": [{"http-equiv": "x-robots-tag", "content": "noimageai"}]}, {}, True),
        ({"Metas": [{"name": "description", "content": "noai"}]}, {}, False),
        ({}, {"x-robots-tag": "NOAI"}, True),
        ({}, {"X-Robots-Tag": ["all", "noimageai"]}, True),
        ({}, {"X-Robots-Tag": "noindex"}, False),
    ],
)
def test_opt_out(head: Any, headers: dict[str, Any], dropped: bool) -> None:
    body = record([link(alt="x")], head, {"Content-Type": "text/html", **headers})
    found, statistics = pairs(body)
    assert statistics["dropped.page.opt_out"] == int(dropped)
    assert found == ([] if dropped else [("http://x.org/p/a.jpg", "x")])
    assert pairs(body, respect_opt_out=False)[0] == [("http://x.org/p/a.jpg", "x")]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(
        [
            ("Envelope",),
            PAYLOAD,
            RESPONSE,
            (*RESPONSE, "Headers"),
            (*RESPONSE, "HTML-Metadata", "Head"),
            (*RESPONSE, "HTML-Metadata", "Links"),
        ]
    ),
    JSON_VALUES,
)
def test_any_json_in_any_place_costs_only_that_record(path: tuple[str, ...], value: Any) -> None:
    _, statistics = pairs(broken(*path, value=value))
    assert_sums(statistics)
    assert not [name for name in statistics if "error_" in name]


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError])
def test_an_unforeseen_failure_costs_one_page(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def fail_for_some(directives: list[str]) -> bool:
        if directives:
            raise error("poison")
        return False

    monkeypatch.setattr(wat, "opts_out", fail_for_some)
    good = json.dumps(record([link(alt="x")])).encode()
    bad = json.dumps(record([link(alt="x")], headers={"X-Robots-Tag": "noai"})).encode()
    path = write_warc(tmp_path / "x.warc.wat.gz", [(PAGE, good), (PAGE, bad), (PAGE, bad), (PAGE, good)], ("metadata",))
    statistics: Counter[str] = Counter()
    with caplog.at_level(logging.WARNING):
        batches = list(read_wat(path, Extract(), statistics))
    assert [len(batch) for batch in batches] == [2]
    assert statistics["pages"] == 2
    assert statistics["dropped.page.error_" + error.__name__] == 2
    assert_sums(statistics)
    assert [PAGE in message.message for message in caplog.records] == [True]


def test_memory_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directives: list[str]) -> bool:
        raise MemoryError

    monkeypatch.setattr(definition, "opts_out", fail)
    with pytest.raises(MemoryError):
        pairs(record([link(alt="x")]))


@pytest.mark.parametrize(
    ("parts", "pages", "texts"),
    [
        (("crawl", "wat", "CC-MAIN-PUBLIC-00000.warc.wat.gz"), 200, 1000),
        (("wild", "r-spark+sparkwarc__sample.wat.gz"), 4, 15),
        (("wild", "commoncrawl+whirlwind-python__whirlwind.warc.wat.gz"), 0, 0),
    ],
)
def test_real_files_add_up(parts: tuple[str, ...], pages: int, texts: int) -> None:
    statistics: Counter[str] = Counter()
    batches = list(read_wat(str(shared_data(*parts)), Extract(), statistics))
    assert sum(map(len, batches)) == statistics["texts"] >= texts
    assert statistics["pages"] >= pages
    assert_sums(statistics)
    assert not [text for batch in batches for text in batch.urls if "&amp;" in text]


def test_a_byte_order_mark_before_a_record_is_passed_over() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(record([link("a.jpg", alt="a")])).encode()
    assert pairs(body)[0] == [("http://x.org/p/a.jpg", "a")]
