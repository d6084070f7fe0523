"""Articles of a Wikipedia dump, from a range of the file's bytes.

Format: `pages-articles.xml`, https://www.mediawiki.org/wiki/Help:Export; compressed with bzip2 in one
or many streams, with gzip, or plain. A `<` in the text of an article is always escaped, so tags are
found as bytes. A page belongs to the range in which it begins.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from metaclip.errors import InputError
from metaclip.io.streams import scheme
from metaclip.metadata.wikipedia.bzip2 import Block, read_blocks
from metaclip.metadata.wikipedia.chunks import read_chunks

PAGE_BYTES = 256 << 20
"""Maximum bytes of a page. If no end is found within this length, the end is missing."""

_PAGE, _PAGE_END, _DUMP_END = b"<page>", b"</page>", b"</mediawiki>"
_NAMESPACE = re.compile(rb"<ns>\s*(-?\d+)\s*</ns>")
_ESCAPED = re.compile("&(lt;|gt;|quot;|amp;|#)")
_CHARACTERS = {"lt;": "<", "gt;": ">", "quot;": '"', "amp;": "&"}
_MODEL = re.compile(rb"<model>\s*([^<]*?)\s*</model>")


def is_dump(path: str) -> bool:
    """Return whether a file is a dump, by its name."""
    name = PurePosixPath(path.partition("?")[0] if scheme(path) in ("http", "https") else path).name.lower()
    return bool(re.search(r"\.xml(-p\d+p\d+)?(-\w+)?(\.bz2|\.gz)?$|\.xml\b.*\.bz2$|pages-articles.*\.bz2$", name))


def can_be_split(path: str) -> bool:
    """Return whether ranges of the file can be read independently."""
    return path.partition("?")[0].lower().endswith(".bz2")


def read_articles(path: str, counts: Counter[str], start: int = 0, end: int | None = None) -> Iterator[str]:
    """Yield the wiki text of the articles that begin in the bytes from `start` to `end` of the file.

    Articles are pages of namespace 0 that are not redirects. `counts` gets `bytes_unpacked`, `pages`,
    `articles`, and `skipped.<reason>`: `namespace`, `redirect`, `model`, `no_text`.

    Raises:
        InputError: the file is not a dump, is damaged, or is truncated.
        TransportError: it cannot be reached now.
    """
    for page in _pages(path, counts, start, end):
        counts["pages"] += 1
        begin = page.rfind(b"<text")  # of the last revision, if there are several
        head = page[: begin if begin >= 0 else len(page)]
        namespace, model = _NAMESPACE.search(head), _MODEL.findall(head)
        if namespace is not None and int(namespace[1]):
            counts["skipped.namespace"] += 1
        elif b"<redirect" in head:
            counts["skipped.redirect"] += 1
        elif model and model[-1] != b"wikitext":
            counts["skipped.model"] += 1
        else:
            text = (
                _unescape(path, page[page.find(b">", begin) + 1 : max(page.rfind(b"</text>"), 0)]) if begin >= 0 else ""
            )
            if text:
                counts["articles"] += 1
                yield text
            else:
                counts["skipped.no_text"] += 1


def _unescape(path: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: an article is not UTF-8 ({error}); dumps always are: fetch it again") from error
    parts = _ESCAPED.split(text)
    names = parts[1::2]
    if "#" in names:
        return html.unescape(text)
    parts[1::2] = map(_CHARACTERS.__getitem__, names)
    return "".join(parts)


def _blocks(path: str, start: int, end: int | None) -> Iterator[Block]:
    if can_be_split(path):
        yield from read_blocks(path, start, end)
    else:
        for chunk in read_chunks(path):
            yield Block(chunk, within=True)


def _pages(path: str, counts: Counter[str], start: int, end: int | None) -> Iterator[bytes]:
    held = b""
    gone = 0  # bytes of `held` that were yielded or are outside of pages
    searched = 0  # bytes of `held` without the end of its first page
    mine = 0  # bytes of `held` that were decompressed within the range
    begun = False  # whether a page begins after what is gone
    first = True
    last = b""
    complete = True  # whether the file was read to its end
    for block in _blocks(path, start, end):
        if first and not start and b"<mediawiki" not in block.data[:4096]:
            raise InputError(f"{path}: is no Wikipedia dump (no <mediawiki> at its beginning); see what was downloaded")
        first = False
        held, mine, searched, gone = held[gone:] + block.data, mine - gone, searched - gone, 0
        if block.within:
            counts["bytes_unpacked"] += len(block.data)
            mine = len(held)
        last = (last + block.data[-64:])[-64:]
        while True:
            if not begun:
                at = held.find(_PAGE, gone)
                begun = at >= 0
                gone = searched = at if begun else max(gone, len(held) - len(_PAGE) + 1)
            if not begun:
                break
            if mine <= gone:
                break  # this page begins in another range
            at = held.find(_PAGE_END, searched)
            if at < 0:
                searched = max(gone, len(held) - len(_PAGE_END))
                if searched - gone > PAGE_BYTES:
                    raise InputError(f"{path}: a page of more than {PAGE_BYTES >> 20} MB: is its end missing?")
                break
            at += len(_PAGE_END)
            yield held[gone:at]
            gone, searched, begun = at, at, False
        if mine <= gone and not block.within:
            complete = False
            break
    if first and not start:
        raise InputError(f"{path}: is an empty dump; see what was downloaded")
    if complete and not first and not last.rstrip().endswith(_DUMP_END):
        raise InputError(f"{path}: ends before its end (no </mediawiki>): cut short; fetch it again")
    if complete and begun and mine > gone:
        raise InputError(f"{path}: ends within a page; fetch it again")
