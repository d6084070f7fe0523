"""The page of a report: one HTML file that needs no network, whatever texts from the web it shows.

The template engine escapes every value. In addition the page blocks everything that it does not contain
(Content-Security-Policy): only its own script runs, which is identified by its hash.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metaclip.explore.by_language import MARKS
from metaclip.report.figures import Figures
from metaclip.report.plots import HEIGHT, WIDTH, Plot
from metaclip.report.words import COMPARED, SAMPLED, STEPS, reason, step_shares, visible

TOP_IN_PAGE = 50
SEARCHABLE = 20_000
"""Entries that the page itself can be searched for; of a longer list these."""
FOLDED_AFTER = 15
"""Rows of a table that are shown before the others are folded."""


def page(figures: Figures, plots: dict[str, Plot], title: str, sheets: Sequence[Any] = ()) -> str:
    """Return the page; `sheets` are what `metaclip.images.dedup.sheets_job` wrote."""
    script = resource("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    content = figures.content
    return (
        environment()
        .get_template("report.html")
        .render(
            c=content,
            title=title,
            sheets=sheets,
            funnel=_funnel_rows(content["funnel"]),
            plots={name: Markup(plot.svg) for name, plot in plots.items()},  # drawn here, from numbers only
            slider=_slider(figures, plots["size_curve"]),
            top=content["top_entries"][:TOP_IN_PAGE],
            entries=searchable(figures.entries),
            sampled=SAMPLED,
            folded_after=FOLDED_AFTER,
            marks=MARKS,
            script=Markup(script),
            style=Markup(resource("report.css")),
            script_hash=digest,
            width=WIDTH * 72,
            height=HEIGHT * 72,
        )
    )


def searchable(entries: pa.Table) -> dict[str, Any]:
    """Return the entries that a page can be searched for: all of a short list.

    Of a longer one those of the sources with the fewest entries, which are one's own lists beside large ones, as far as
    they fit; then others evenly over all ranks, so that the tail is there too.

    Returns:
        `of`, the number of all, and `rows`: entry, matches in the pool, matches in the set; most matches first.
    """
    counts = entries.column("count").to_numpy()
    order = np.argsort(-counts.astype(np.int64), kind="stable")
    if len(order) > SEARCHABLE:
        sources = entries.column("source").combine_chunks().dictionary_encode()
        of, room = sources.indices.to_numpy(), SEARCHABLE // 2
        sizes = np.bincount(of, minlength=len(sources.dictionary))
        chosen = np.zeros(len(order), np.bool_)
        for source in np.argsort(sizes, kind="stable").tolist():
            if sizes[source] > room:
                break
            chosen[of == source] = True
            room -= int(sizes[source])
        rest = order[~chosen[order]]
        chosen[rest[np.linspace(0, len(rest) - 1, SEARCHABLE - int(chosen.sum())).astype(np.int64)]] = True
        order = order[chosen[order]]
    found = entries.take(pa.array(order))
    names = [visible(entry) for entry in found.column("entry").to_pylist()]
    figures = (found.column(name).to_pylist() for name in ("count", "curated_count"))
    return {"of": entries.num_rows, "rows": list(zip(names, *figures, strict=True))}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the template engine: everything is escaped, and a missing value is an error."""
    found = Environment(
        loader=PackageLoader("metaclip.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {"n": whole, "share": share, "visible": visible, "reason": reason}
    return found


def whole(number: int) -> str:
    """Format a whole number with separators."""
    return f"{number:,}"


def share(part: float | None, whole: float = 1) -> str:
    """Format a share in percent; a share of nothing is a dash."""
    return "–" if part is None or not whole else f"{part / whole:.1%}"


MADE = "<!-- made -->"
"""What a copy of the page replaces by a line on pool, t and date: neither the pool's name nor a date is in its key."""


def headed(text: str, pool: str, t: str, date: str) -> str:
    """Return the page with its pool, t and date in its heading and its title."""
    line = Markup('<p class="made">Pool <b><bdi>{}</bdi></b>, t = {}, published {}</p>').format(visible(pool), t, date)
    title = Markup("<title>{}: ").format(visible(pool))
    return text.replace(MADE, str(line), 1).replace("<title>", str(title), 1)


def resource(name: str) -> str:
    """Return a file of the templates' folder."""
    return (resources.files("metaclip.report") / "templates" / name).read_text(encoding="utf-8")


def _funnel_rows(funnel: dict[str, int]) -> list[dict[str, Any]]:
    largest = max((funnel.get(step, 0) for step in COMPARED), default=0) or 1
    shares = step_shares(funnel)
    return [
        {
            "name": name,
            "count": funnel[step],
            "share": shares.get(step),
            "bar": round(100 * funnel[step] / largest, 1) if step in COMPARED else None,
        }
        for step, name in STEPS.items()
        if step in funnel  # only pools of survivors have all steps
    ]


def _slider(figures: Figures, plot: Plot) -> dict[str, Any]:
    """Return the data of the script: a list by step for each figure, and for each top entry."""
    curve = figures.content["curve"]
    groups = len(figures.curves.groups)
    top = min(TOP_IN_PAGE, len(figures.content["top_entries"]))
    return {
        "step": figures.step,
        **{name: curve[name] for name in ("t", "pairs", "matches", "head", "tail_share")},
        "points": plot.points,
        "base": plot.base,
        # The largest entries are a group each, the very largest last.
        "top": [figures.curves.matches[groups - 1 - rank].tolist() for rank in range(top)],
    }
