"""The yardstick for whole files: MetaCLIP's approach in plain Python, with an Aho-Corasick matcher.

warcio reads a stream of records. For a WARC, selectolax builds the tree of every page, and
fasttext-langdetect identifies the language of the texts of its images. For a WAT, the JSON is read and the
links that are images are used, without language identification. urljoin resolves addresses, a set of
hashes drops repeats, pyahocorasick searches the spaced texts for all entries, and matched pairs are written
as lines of JSON. Nothing is counted and nothing is checkpointed. It was written for this project from the
paper and a description of the published code, and is as fast as such a program is without tuning.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import ahocorasick
import ftlangdetect
from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator

from metaclip.matching.definition import space_text


class PlainPipeline:
    """Keeps the automaton, which takes a while to build."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._automaton = ahocorasick.Automaton()
        for entry_id, entry in enumerate(entries):
            self._automaton.add_word(f" {entry} ", entry_id)
        self._automaton.make_automaton()

    def run(self, files: Sequence[Path], kind: str, target: Path) -> int:
        """Curate files of a kind ("wat" or "warc") into lines of JSON; return how many."""
        seen: set[bytes] = set()
        lines = 0
        texts_of = _of_wat if kind == "wat" else _of_warc
        with target.open("w", encoding="utf-8") as out:
            for path in files:
                for url, text in texts_of(path):
                    digest = hashlib.sha224(f"{url}\n{text}".encode("utf-8", "replace")).digest()
                    if digest in seen:
                        continue
                    seen.add(digest)
                    ids = sorted({entry_id for _, entry_id in self._automaton.iter(space_text(text))})
                    if ids:
                        out.write(json.dumps({"uid": digest.hex(), "url": url, "text": text, "entry_ids": ids}) + "\n")
                        lines += 1
        return lines


def _join(base: str, address: str) -> str | None:
    try:
        return urljoin(base, address)
    except ValueError:  # brackets that contain no address
        return None


def _texts(attributes: Mapping[str, str | None]) -> Iterator[str]:
    for key in ("alt", "title", "data-image-title"):
        if text := " ".join((attributes.get(key) or "").split()):
            yield text


def _of_warc(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type != "response":
                continue
            page_url = record.rec_headers.get_header("WARC-Target-URI") or ""
            try:
                html = record.content_stream().read()
            except AttributeError:  # warcio sets an attribute that today's brotli does not have: the page is left out
                continue
            for image in LexborHTMLParser(html).css("img"):
                attributes = image.attributes
                address = attributes.get("src")
                if not address or address.startswith("data:"):
                    continue
                for text in _texts(attributes):
                    if ftlangdetect.detect(text, low_memory=True)["lang"] == "en" and (url := _join(page_url, address)):
                        yield url, text


def _of_wat(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type != "metadata":
                continue
            envelope: dict[str, Any] = json.loads(record.content_stream().read()).get("Envelope", {})
            page_url = envelope.get("WARC-Header-Metadata", {}).get("WARC-Target-URI", "")
            response = envelope.get("Payload-Metadata", {}).get("HTTP-Response-Metadata", {})
            for link in response.get("HTML-Metadata", {}).get("Links", ()):
                if link.get("path") != "IMG@/src" or not link.get("url"):
                    continue
                for text in _texts(link):
                    if url := _join(page_url, link["url"]):
                        yield url, text
