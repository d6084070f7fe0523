"""The demo: a small generated crawl, and the list of entries that ships for it.

The crawl has 600 made-up pages of 50 sites in eight languages: half of them in three WARC files, the
others in three WAT files, in Common Crawl's layout. Nothing in it depends on the clock or on Python's
hash seed, so its bytes are the same every time.
"""

from dataclasses import dataclass
from pathlib import Path

from metaclip.demo.archive import write_warc, write_wat
from metaclip.demo.pages import make_pages

ENTRIES = Path(__file__).parents[1] / "data" / "demo_entries.json.gz"
"""The list of ten thousand entries that ships with the package (see the README in its folder)."""


@dataclass(frozen=True, slots=True)
class DemoCrawl:
    """What `write_demo_crawl` wrote."""

    paths: Path
    """The list of the files, one on each line, relative to its own folder: for `source.paths`."""
    warc_files: list[Path]
    wat_files: list[Path]
    pages: int
    images: int
    """Images on all pages, repeats included."""


def write_demo_crawl(folder: str | Path) -> DemoCrawl:
    """Write the demo crawl to a folder (10 MB, some seconds); earlier files are replaced.

    It has these faults: a WARC file with a member that is not a record and a damaged one, a WARC and a
    WAT file that end in the middle of a record, WAT records that are not JSON or lack required parts.

    Raises:
        OSError: if the folder cannot be written.
    """
    root = Path(folder)
    pages = make_pages()
    part = len(pages) // 6
    parts = [pages[start : start + part] for start in range(0, len(pages), part)]
    warc_files = [root / "warc" / f"demo-{number:05}.warc.gz" for number in range(3)]
    wat_files = [root / "wat" / f"demo-{number:05}.warc.wat.gz" for number in range(3, 6)]
    for path in (warc_files[0], wat_files[0]):
        path.parent.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(warc_files):
        write_warc(path, parts[number], damaged=number == 1, cut=number == 2)
    for number, path in enumerate(wat_files, start=3):
        write_wat(path, parts[number], entities=number == 3, damaged=number == 4, cut=number == 5)
    paths = root / "demo.paths"
    listing = [path.relative_to(root).as_posix() for path in (*warc_files, *wat_files)]
    paths.write_text("\n".join(listing) + "\n", encoding="utf-8")
    return DemoCrawl(paths, warc_files, wat_files, len(pages), sum(len(page.images) for page in pages))
