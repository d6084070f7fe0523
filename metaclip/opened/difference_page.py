"""The page of a comparison: one HTML file without a script, which needs no network."""

import math
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metaclip.report.words import visible

SIZE, MARGIN = 420, 46
"""Of the scatter, in units of the drawing."""
FOLDED_AFTER = 15
MOST_ROWS = 60


def difference_page(found: dict[str, Any]) -> str:
    """Return the page of what `difference.compare` returns."""
    environment = Environment(
        loader=PackageLoader("metaclip.opened", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "n": lambda number: "–" if number is None else f"{number:,}"}
    environment.filters["share"] = lambda part, whole=1: "–" if part is None or not whole else f"{part / whole:.1%}"
    style = (resources.files("metaclip.opened") / "templates" / "difference.css").read_text(encoding="utf-8")
    changed = [*found["gained"], *found["lost"]]
    return environment.get_template("difference.html").render(
        d=found,
        style=style,
        total=found["both"] + found["only_a"] + found["only_b"],
        scatter=scatter(changed),
        tables=[
            ("entries that gained most", "entry", with_language(found["gained"][:MOST_ROWS])),
            ("entries that lost most", "entry", with_language(found["lost"][:MOST_ROWS])),
            ("languages", "language", found["languages"][:MOST_ROWS]),
            ("hosts of image addresses", "host", found["hosts"][:MOST_ROWS]),
        ],
        folded_after=FOLDED_AFTER,
    )


def with_language(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of entries with the language before the entry, where one is told."""
    return [{**row, "entry": f"{row['language']}: {row['entry']}"} if "language" in row else row for row in rows]


def scatter(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the points of matches in b against a, both plus one and logarithmic, and the ticks of the axes."""
    largest = max((max(row["a"] or 0, row["b"] or 0) for row in rows), default=1)
    decades = max(1, math.ceil(math.log10(largest + 1)))
    room = SIZE - 2 * MARGIN

    def place(count: int | None) -> float:
        return round(room * math.log10((count or 0) + 1) / decades, 1)

    points = [(MARGIN + place(row["a"]), SIZE - MARGIN - place(row["b"])) for row in rows]
    ticks = [(10**power - 1 if power else 0, MARGIN + room * power / decades) for power in range(decades + 1)]
    return {"size": SIZE, "margin": MARGIN, "points": sorted(set(points)), "ticks": ticks}
