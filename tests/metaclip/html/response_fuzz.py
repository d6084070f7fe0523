"""Responses that no server sent, for comparing ways to read them: heads, encodings and character sets of any kind."""

import gzip
import random
import zlib
from collections.abc import Iterator

LINES = [
    "Content-Type: text/html", "Content-Type: text/html", "Content-Type: text/html; charset=utf-8",
    "content-type:TEXT/HTML;charset=UTF-8", "CONTENT-TYPE : text/html;charset=\"utf8\"", "Server: nginx",
    "Content-Type: application/xhtml+xml", "Content-Length: 5", "X-Crawler-content-encoding: gzip", "Content-Types: b",
    "X-Content-Type: image/png", "no colon", "X: a:b: c", ": x",
    # From here on odd.
    "Content-Type: text/html; charset=iso-8859-1", "Content-Type: text/html;charset=", "Content-Type: image/png",
    "Content-Type: text/plain; charset=utf-8", "Content-Type:", "Content-Type: html", "Content-Typ: a", " folded",
    "Content-Type: text/html; charset=nope", "Content-Type: text/html, text/html", "\tContent-Type: text/html",
    "Content-Type: text/html; charset=utf-16", "Content-Type: text/html;\tcharset=gbk", "Content-Type: " + "x" * 300,
    "Content-Type: text/html; x=" + "y" * 300, "X-Robots-Tag: noai", "x-robots-tag:all", "X-Robots-Tags: noai",
    "Content-Encoding: gzip", "content-encoding:", "Content-Encoding: identity", "Transfer-Encoding: chunked",
    "Caf\xe9: \xe9", "X: \x85", "X: a\rb", "X: \x00", "X: \x0b", "\x1cContent-Type: image/png", "",
]  # fmt: skip
PLAIN_LINES = LINES[: LINES.index(": x")]
METAS = [
    "<meta charset=utf-8>", "<META CHARSET='UTF-8'/>", "<meta charset=latin1>", "<meta charset = \" utf-8 \">",
    "<meta charset=windows-1251>", "<meta charset>", "<meta charset=>", "<meta charset=''>", "<meta charset=nope>",
    "<meta charset=utf-16>", "<meta charset=x-user-defined>", "<meta charset=iso-2022-jp>", "<meta charset=\u00fc>",
    "<meta http-equiv=Content-Type content='text/html; charset=utf-8'>", "<meta content='text/html;charset=koi8-r'>",
    "<meta name=x content=charset=latin1>", "<meta charset=utf-8 content=x>", "<meta xcharset=latin1 charset=utf-8>",
    "<meta/charset=utf-8>", "<meta\ncharset\n=\nutf-8\n>", "<metacharset=latin1>", "<meta charset=shift_jis",
    "<meta charset=" + "z" * 300 + ">", "<meta\x0bcharset=utf-8>", "<meta charset=utf-8;x>",
    "<meta charset=replacement>",
]  # fmt: skip
PIECES = [
    "<!--", "-->", "<!-->", "<!-- <meta charset=latin1> -->", "x<!-- a -->", "<m<!-- -->eta charset=latin1>", ">", "<",
    "<meta <!-- --> charset=latin1>", "<meta<!---->", " charset=latin1>", "<title>x</title>", "<p>", "<!doctype html>",
    " " * 500, "<!-- " + "x" * 500 + " -->", "\u00e9", "\u65e5\u672c", "<img src=a alt=b>", "\n", "<meta ", "<",
    "<meta name=robots content=noai>", "charset", "\x1b$B", "\x1b(B", "\x1b",
]  # fmt: skip
STATUS_LINES = [*["HTTP/1.1 200 OK"] * 8, "http/2 301", "HTTP/1.1 200: Content-Type: a/b", "ICY 200"]
STARTS = [*[""] * 14, "\ufeff", "GIF89a", "%PDF-1.4", "PK\x03\x04", "Pages", "\n", "<html>", "{"]
CODECS = [*["utf-8"] * 12, "latin-1", "utf-16", "utf-16-le", "utf-16-be", "gbk", "iso2022_jp", "cp1251"]


def head(rng: random.Random) -> bytes:
    end = rng.choice(("\r\n", "\r\n", "\r\n", "\n"))
    lines = [rng.choice(STATUS_LINES)]
    if rng.random() < 0.8:
        lines.append(rng.choice(PLAIN_LINES[:5]))
    odd = rng.random() < 0.5
    lines += [rng.choice(LINES if odd else PLAIN_LINES) for _ in range(rng.choice((0, 1, 1, 2, 4)))]
    return (end.join(lines) + end * 2).encode("latin-1")


def body(rng: random.Random, limit: int) -> bytes:
    parts = [rng.choice(METAS if rng.random() < 0.4 else PIECES) for _ in range(rng.randrange(8))]
    text = rng.choice(STARTS) + "".join(parts)
    if rng.random() < 0.1:
        text = text.ljust(limit + rng.choice((-1, 0, 1)), rng.choice(("x", " ", "\u00e9")))
    data = text.encode(rng.choice(CODECS), "replace")
    pick = rng.random()
    if pick < 0.05:
        data = gzip.compress(data, mtime=0)
    elif pick < 0.08:
        data = zlib.compress(data)
    if rng.random() < 0.06:
        data = b"".join(
            b"%x\r\n%s\r\n" % (len(data[at : at + 50]), data[at : at + 50]) for at in range(0, len(data), 50)
        )
    return data


def responses(seed: int, count: int, limit: int) -> Iterator[bytes]:
    """Give `count` blocks, the same ones for a seed; pages are about `limit` bytes at most."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(head(rng) + body(rng, limit))
        if rng.random() < 0.15:
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(data) + 1)
                if rng.random() < 0.5:
                    data[at : at + 1] = bytes([rng.randrange(256)])
                else:
                    del data[at : at + rng.choice((1, 3, 60))]
        yield bytes(data)
