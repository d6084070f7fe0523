"""Small sources of metadata, written for tests: a dump, hourly pageviews, a file of counts."""

import bz2
import gzip
import random
from pathlib import Path
from typing import Any

from tests.metaclip.metadata.wikipedia.test_dump import HEAD, page

NOUNS = ["fox", "den", "Red Planet", "New Zealand", "Zzyzx Road", "café au lait", "dog", "river bank"]


def write_sources(folder: Path) -> dict[str, Any]:
    """Write the files and return a section `metadata` that names them."""
    rng = random.Random(5)
    pages = []
    for number in range(400):
        words = [
            rng.choice(NOUNS) if rng.random() < 0.4 else f"w{int(rng.paretovariate(0.8)) % 900}" for _ in range(60)
        ]
        pages.append(page(f"P{number}", f"The '''{' '.join(words)}'''. See [[{words[0]}|it]], " + " ".join(words[::2])))
    dump = b"".join(
        bz2.compress(part.encode(), 1)
        for part in [HEAD, *("".join(pages[i : i + 25]) for i in range(0, 400, 25)), "</mediawiki>"]
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small-pages-articles.xml.bz2").write_bytes(dump)
    (folder / "more.tsv").write_text("".join(f"{i + 1}\tx{i}\n" for i in range(50)) + "9\tx48\tx49\n")
    (folder / "views").mkdir(exist_ok=True)
    for hour in range(3):
        lines = [f"en T_{i}_(film) {rng.randrange(40, 200)} 0" for i in range(100)]
        lines += ["en St._Louis 80 0", "en fox 500 0", "en Main_Page 9999 0", "de T_1 90 0", "en A:B 400 0", "broken"]
        content = "".join(f"{line}\n" for line in lines * 2).encode()
        (folder / "views" / f"pageviews-20240101-{hour:02}0000.gz").write_bytes(gzip.compress(content, mtime=0))
    counted = [str(folder / "small-pages-articles.xml.bz2"), str(folder / "more.tsv")]
    return {
        "wordnet": {"use": "synsets", "budget": 500},
        "words": {"paths": counted, "min_count": 3, "budget": 200},
        "pairs": {"paths": counted, "min_pmi": 2, "min_count": 2, "budget": 100},
        "titles": {"paths": [str(folder / "views")], "min_views": 300},
    }
