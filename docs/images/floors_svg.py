"""Draws the floors of docs/architecture.md from its table: `python docs/images/floors_svg.py`.

The way of one pair from a WARC file is drawn through the packages that it enters.
"""

import re
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, ROW, BOX, LEFT = 860, 58, 132, 96
WAY = ("stages", "sources", "archive", "html", "pairs", "language", "tables", "store")


def drawing(page: str) -> str:
    """Return the SVG of the floors that a page's table names."""
    floors: dict[int, list[str]] = {}
    for floor, name in re.findall(r"^\| (\d+) \| `([\w/]+?)/` \|", page, re.M):
        if "/" not in name:
            floors.setdefault(int(floor), []).append(name)
    top = max(floors)
    bands = [("flows/cli/", []), ("flows/", []), ("tasks/", []), *((str(n), floors[n]) for n in range(top, 0, -1))]
    height = ROW * len(bands) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="14">',
        "<title>The floors of the code: imports go down only</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (label, packages) in enumerate(bands):
        y = 8 + number * ROW
        inside = bool(packages)
        fill = "#eef2f7" if inside else "#f7f3ea"
        parts.append(f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{ROW - 8}" rx="6" fill="{fill}"/>')
        name = f"floor {label}" if inside else label
        parts.append(f'<text x="22" y="{y + 30}" fill="#475569">{escape(name)}</text>')
        for place, package in enumerate(packages):
            x = LEFT + 30 + place * (BOX + 14)
            stroke = "#c2410c" if package in WAY else "#94a3b8"
            parts.append(
                f'<rect x="{x}" y="{y + 8}" width="{BOX}" height="{ROW - 24}" rx="4" fill="#ffffff" stroke="{stroke}"/>'
                f'<text x="{x + BOX / 2}" y="{y + 30}" text-anchor="middle" fill="#0f172a">{package}</text>'
            )
            if package in WAY:
                parts.append(
                    f'<text x="{x + 8}" y="{y + 21}" font-size="11" fill="#c2410c">{WAY.index(package) + 1}</text>'
                )
    below = height - 12
    parts.append(
        f'<text x="22" y="{below}" fill="#c2410c">1 to 8: what one pair of a WARC file enters on its way to its row'
        "; a package imports from the floors below only</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (HERE / "floors.svg").write_text(drawing((HERE.parent / "architecture.md").read_text()))
