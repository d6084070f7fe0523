"""Scanned pages give what their trees give, and what html5lib's tests say, on every input of these tests.

The tests are those of the html5lib 1.1 source distribution (tests/data/HTML5LIB-TESTS-LICENSE.txt).
"""

import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples import ROOT
from tests.metaclip.html.test_scanner import check, scanned

PACKED = ROOT / "tests" / "data" / "html5lib-tests.tar.xz"
IMAGE = "<img src=a alt='b&amp;c'>"
# How a page comes to the state that a test begins in; `%s` is the tag whose end ends it.
BEGINNINGS = {
    "Data state": "",
    "PLAINTEXT state": "<plaintext>",
    "RCDATA state": "<%s>",
    "RAWTEXT state": "<%s>",
    "Script data state": "<%s>",
    "CDATA section state": "<svg><![CDATA[",
}
TAGS = {"RCDATA state": "title", "RAWTEXT state": "xmp", "Script data state": "script"}


def unpacked(folder: str) -> dict[str, str]:
    with tarfile.open(PACKED) as archive:
        files = [member for member in archive.getmembers() if member.name.startswith(folder + "/")]
        found = {member.name: archive.extractfile(member) for member in files}
        return {name: file.read().decode("utf-8") for name, file in found.items() if file}


def unescaped(value: Any) -> Any:
    """Undo the second escaping that some tests have."""
    if isinstance(value, str):
        return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, list):
        return [unescaped(item) for item in value]
    return {key: unescaped(item) for key, item in value.items()} if isinstance(value, dict) else value


def tokenizer_tests() -> Iterator[dict[str, Any]]:
    for content in unpacked("tokenizer").values():
        for test in json.loads(content).get("tests", []):
            yield unescaped(test) if test.get("doubleEscaped") else test


def utf8(html: str) -> bytes:
    """Encode what a page can hold: a lone surrogate is U+FFFD by the time that pages are scanned."""
    return html.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def in_batches(pages: list[str]) -> tuple[int, int]:
    """Compare distinct pages with their trees; return how many the scan left to the tree, and images."""
    distinct = list(dict.fromkeys(utf8(page) for page in pages))
    counts = [check(distinct[start : start + 500]) for start in range(0, len(distinct), 500)]
    return sum(left for left, _ in counts), sum(images for _, images in counts)


def test_inputs_of_the_tokenizer_tests_in_every_state() -> None:
    pages: list[str] = []
    for test in tokenizer_tests():
        for state in test.get("initialStates", ["Data state"]):
            beginning = BEGINNINGS[state]
            if "%s" in beginning:
                beginning %= test.get("lastStartTag", TAGS[state])
            page = beginning + test["input"]
            pages += [page, page + IMAGE, f"{IMAGE}{page}>{IMAGE}", f"{page}</title></xmp></script>]]></svg>{IMAGE}"]
    assert len(pages) > 25_000
    left, images = in_batches(pages)
    assert left < 0.02 * len(pages)
    assert images > 0.8 * len(pages)


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_inputs_of_the_tokenizer_tests_as_attribute_values(quote: str) -> None:
    inputs = [test["input"] for test in tokenizer_tests()]
    left, images = in_batches([f"<img src={quote}{one}{quote} alt={quote}x{one}{quote}>{IMAGE}" for one in inputs])
    assert left < 0.08 * len(inputs)  # zero bytes, and names that grow when they are decoded
    assert images > len(inputs)


def test_attributes_are_those_that_the_tests_expect() -> None:
    """A tag with one attribute, made an image with an `alt`: what html5lib's authors expect is found."""
    cases: dict[bytes, str] = {}
    for test in tokenizer_tests():
        match test["output"]:
            case [["StartTag", tag, attributes, *_]] if len(attributes) == 1:
                ((name, value),) = attributes.items()
                parts = re.fullmatch(rf"<{re.escape(tag)}([\s/]+){re.escape(name)}(.*)", test["input"], re.DOTALL)
                if parts:
                    cases[utf8(f"<img{parts[1]}alt{parts[2]}")] = value
    assert len(cases) > 180
    found = scanned(list(cases))
    left = 0
    for page, (html, value) in zip(found, cases.items(), strict=True):
        if page is None:
            left += 1
        else:
            assert page[2] == [{"alt": value}], html
    assert left < 0.05 * len(cases)  # zero bytes, and `&NotEqualTilde;`, which grows


def test_inputs_of_the_tree_construction_tests() -> None:
    pages: list[str] = []
    for content in unpacked("tree-construction").values():
        inputs = re.findall(r"^#data\n(.*?)\n?#errors", content, re.DOTALL | re.MULTILINE)
        for page in inputs:
            # Every tag in turn an image, too, where the page's tree decides what becomes of it.
            pages += [page, page + IMAGE]
            pages += [page[: tag.start()] + IMAGE + page[tag.start() :] for tag in re.finditer("<", page)]
    assert len(pages) > 8_000
    left, images = in_batches(pages)
    assert left < 0.4 * len(pages)
    assert images > 0.4 * len(pages)
