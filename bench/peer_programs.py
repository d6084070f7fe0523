"""Other programs that find image-text pairs in crawl files: run by `bench.peers` with the Python that has them.

    python -I peer_programs.py PROGRAM FILE...

Each is written as its users would, with the calls that its documentation shows, and gives (address, text) of images.
It prints CPU seconds without the import and without a first, smaller run, and how many pairs it finds, as JSON. It
imports nothing of this project.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

Find: TypeAlias = Callable[[list[str]], int]


def cc2dataset() -> Find:
    """The extraction of cc2dataset, without its Spark job."""
    from cc2dataset.main import extract_documents_from_wat  # type: ignore[import-not-found,unused-ignore]

    return lambda files: sum(len(extract_documents_from_wat(stream, "image")) for stream in _opened(files))


def warcio_wat() -> Find:
    """Records of warcio, and Python's json."""
    from warcio.archiveiterator import ArchiveIterator

    def find(files: list[str]) -> int:
        pairs = 0
        for stream in _opened(files):
            for record in ArchiveIterator(stream):
                if record.rec_type == "metadata":
                    pairs += len(list(_links(record.content_stream().read())))
        return pairs

    return find


def fastwarc_wat() -> Find:
    """Records of FastWARC and Python's json."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    def find(files: list[str]) -> int:
        pairs = 0
        for stream in _opened(files):
            for record in ArchiveIterator(stream, record_types=WarcRecordType.metadata, parse_http=False):
                pairs += len(list(_links(record.reader.read())))
        return pairs

    return find


def datatrove_warc() -> Find:
    """The reader of datatrove, and selectolax for the images of its documents."""
    from datatrove.pipeline.readers import WarcReader  # type: ignore[import-not-found,unused-ignore]
    from loguru import logger

    logger.remove()

    def find(files: list[str]) -> int:
        paths = [Path(path) for path in files]
        reader = WarcReader(str(paths[0].parent))
        images = _selectolax_images()
        return sum(len(images(page.text)) for page in reader.read_files_shard([path.name for path in paths]))

    return find


def warcio_warc() -> Find:
    """Records of warcio, and selectolax for the images of the pages."""
    from warcio.archiveiterator import ArchiveIterator

    def find(files: list[str]) -> int:
        pairs, images = 0, _selectolax_images()
        for stream in _opened(files):
            for record in ArchiveIterator(stream):
                if record.rec_type == "response":
                    try:
                        pairs += len(images(record.content_stream().read()))
                    except AttributeError:  # warcio cannot open brotli as it is today: the page is left out
                        continue
        return pairs

    return find


def resiliparse_warc() -> Find:
    """Records of FastWARC, and Resiliparse for character sets and for the images of the pages."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    def find(files: list[str]) -> int:
        pairs = 0
        for stream in _opened(files):
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, auto_decode="all"):
                html = record.reader.read()
                tree = HTMLTree.parse_from_bytes(html, record.http_charset or detect_encoding(html))
                # With the attributes in the selector, since each element that Resiliparse hands out takes its time.
                images = tree.document.query_selector_all("img[src][alt]")
                pairs += sum(bool(image.getattr("src") and image.getattr("alt")) for image in images)
        return pairs

    return find


def _opened(files: list[str]) -> Iterator[BinaryIO]:
    for path in files:
        with Path(path).open("rb") as stream:
            yield stream


def _selectolax_images() -> Callable[[Any], list[tuple[str, str]]]:
    from selectolax.lexbor import LexborHTMLParser

    def images(html: Any) -> list[tuple[str, str]]:
        found = (image.attributes for image in LexborHTMLParser(html).css("img"))
        return [(one["src"], one["alt"]) for one in found if one.get("src") and one.get("alt")]  # type: ignore[misc]

    return images


def _links(body: bytes) -> Iterator[tuple[str, str]]:
    payload = json.loads(body).get("Envelope", {}).get("Payload-Metadata", {})
    for link in payload.get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {}).get("Links", ()):
        if link.get("path") == "IMG@/src" and link.get("url") and link.get("alt"):
            yield link["url"], link["alt"]


PROGRAMS = {
    "cc2dataset": cc2dataset,
    "warcio-wat": warcio_wat,
    "fastwarc-wat": fastwarc_wat,
    "datatrove-warc": datatrove_warc,
    "warcio-warc": warcio_warc,
    "resiliparse-warc": resiliparse_warc,
}

if __name__ == "__main__":
    logging.disable(logging.INFO)
    program, *names = sys.argv[1:]
    work = PROGRAMS[program]()
    work(names[:1])
    begun = time.process_time()
    count = work(names)
    taken = time.process_time() - begun
    print(json.dumps({"cpu_seconds": taken, "pairs": count}))
