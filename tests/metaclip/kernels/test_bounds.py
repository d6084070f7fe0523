"""What kernels take from pages and responses lies within the arrays: numba checks it, in a process of its own.

One process for all of them, as what takes time is to compile them so.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import ROOT
from tests.metaclip.html import html_fuzz, response_fuzz
from tests.metaclip.html.test_responses import HEAD, LIMIT
from tests.metaclip.html.test_scanner import CASES, ONLY_TREES

CHECKED = """
import pickle, sys
from unittest.mock import patch
from metaclip.html import scanner as html_scan
from tests.metaclip.html.test_scanner import scanned
from tests.metaclip.html.test_responses import batch, check
pages, responses = pickle.load(sys.stdin.buffer)
for end in (b"<p", b"<p>", b"<p a=b", b"<!-- ", b"<img src=x>", b"<script>x"):
    try:
        with patch.object(html_scan, "PADDING", 0):
            scanned([end])
    except IndexError:
        continue
    raise AssertionError(f"{end}: without padding, reads beyond the array are to be found")
for html in pages:
    scanned([html])
    scanned([html, html])
for response in responses:
    check(batch([response]), 1 << 20)
"""


@pytest.mark.slow
def test_nothing_outside_the_arrays_is_read_or_written(tmp_path: Path) -> None:
    pages = [case.encode() for case in CASES + ONLY_TREES]
    pages += [page[:end] for page in pages for end in range(0, len(page), 3)]
    for batch in html_fuzz.pages(2, 400, []):
        pages += batch
    responses = [*response_fuzz.responses(2, 400, LIMIT), *(HEAD[:end] for end in range(len(HEAD)))]
    responses += [HEAD + meta.encode()[:end] for meta in response_fuzz.METAS for end in range(0, len(meta), 5)]
    # Large enough for their complexity to be looked at.
    responses += [HEAD + b"<a " + b"w " * 60_000 + end for end in (b"", b">", b">" + b"x" * 30_000)]
    responses += [HEAD + b"<b>" * 60_000, HEAD + b"x" * 70_000 + b"<a " + b"w" * 70_000]
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", CHECKED],
        input=pickle.dumps((pages, responses)),
        env=environment,
        cwd=ROOT,
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr.decode()
