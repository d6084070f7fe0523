"""Generate pages with the size and shape of real ones, fast enough for millions: `bench.make_crawl` stores them.

Captions and running text are words that are drawn by Zipf's law from the names of the shipped WordNet, so
any list of entries that is built from it matches. Other languages use the demo's phrases.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaclip.demo.texts import Captions, Draws
from metaclip.metadata.wordnet import load_wordnet

LINKS = 145
"""Links of a page that are not images."""
IMAGES = 30
"""Images of a page, on average: 17 % of its 175 links."""

_SITES = 5_000
_BLOCK = 64  # pages drawn at once
_COMMON = ("of", "the", "a", "in", "and", "with", "to", "on", "for", "at", "by", "from", "photo", "image", "1", "2")
# About half of the web is English; the others stand for the rest.
_LANGUAGES = {"en": 0.5, "de": 0.09, "ru": 0.09, "ja": 0.08, "fr": 0.07, "es": 0.07, "it": 0.05, "nl": 0.05}
_NO_TEXT = 0.3  # images without alt
_SHARED = 0.2  # images that are on every page of a site


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a page: images are (address as written, alt or None)."""

    url: str
    title: str
    links: list[tuple[str, str]]
    images: list[tuple[str, str | None]]
    paragraphs: list[str]
    scripts: list[str]


class PageMaker:
    """Generates pages; those of one file depend only on the seed and the file's number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = np.random.default_rng(seed)
        names = [name for name in load_wordnet().entries() if len(name) > 2]
        self._words = np.array([*_COMMON, *(names[i] for i in rng.permutation(len(names)))], dtype=object)
        self._cumulative = np.cumsum(1 / (np.arange(len(self._words)) + 2.7) ** 1.05)
        self._cumulative /= self._cumulative[-1]
        captions = Captions(Draws(f"bench {seed}"))
        self._phrases = {name: [captions.make(name) for _ in range(2048)] for name in _LANGUAGES if name != "en"}
        self._scripts = [_script(rng) for _ in range(256)]

    def pages(self, file: int, count: int) -> Iterator[Page]:
        """Yield the first `count` pages of a file."""
        rng = np.random.default_rng([self._seed, file])
        prose = {language: [self._prose(language, rng) for _ in range(512)] for language in _LANGUAGES}
        for start in range(0, count, _BLOCK):
            # Whole blocks are drawn, so that a shorter file is the beginning of a longer one.
            block = self._block(rng, f"{file}-{start}", prose)
            yield from block[: count - start]

    def _block(self, rng: np.random.Generator, name: str, prose: dict[str, list[str]]) -> list[Page]:
        images = rng.poisson(IMAGES, _BLOCK)
        sites = rng.integers(_SITES, size=_BLOCK)
        sizes = rng.lognormal(0, 0.7, _BLOCK) / 1.28  # of mean 1
        captions = iter(self._captions(rng, int(images.sum())))
        texts = iter(self._captions(rng, _BLOCK * (LINKS + 1)))
        shapes = zip(sites.tolist(), images.tolist(), sizes.tolist(), strict=True)
        return [
            self._page(rng, f"{name}-{number}", shape, (captions, texts), prose) for number, shape in enumerate(shapes)
        ]

    def _page(
        self,
        rng: np.random.Generator,
        name: str,
        shape: tuple[int, int, float],
        drawn: tuple[Iterator[str], Iterator[str]],
        prose: dict[str, list[str]],
    ) -> Page:
        site, count, size = shape
        language = _language(site)
        origin = f"https://www.site-{site:04}.example"
        draws = rng.random((count, 2))
        images: list[tuple[str, str | None]] = []
        for number, (kind, text) in enumerate(draws.tolist()):
            caption: str | None = next(drawn[0])
            if language != "en":
                caption = f"{self._phrases[language][int(text * 2048)]} {number}"
            slug = f"{name}-{number}.jpg"
            if kind < _SHARED:
                slug, caption = f"icon-{int(kind * 40)}.png", f"icon {int(kind * 40)} of site {site}"
            # Two addresses in five are relative.
            address = f"/images/{slug}" if site % 5 < 2 else f"https://cdn.site-{site:04}.example/images/{slug}?w=640"
            images.append((address, None if text < _NO_TEXT else caption))
        links = [next(drawn[1]) for _ in range(LINKS)]
        words, scripts = rng.integers(512, size=int(54 * size) + 1), rng.integers(256, size=int(17 * size) + 1)
        return Page(
            f"{origin}/{name}.html",
            next(drawn[1]),
            [(f"/{text.replace(' ', '-')}/{number}.html", text) for number, text in enumerate(links)],
            images,
            [prose[language][i] for i in words.tolist()],
            [self._scripts[i] for i in scripts.tolist()],
        )

    def _draw(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.object_]:
        drawn: npt.NDArray[np.object_] = self._words[np.searchsorted(self._cumulative, rng.random(count))]
        return drawn

    def _captions(self, rng: np.random.Generator, count: int) -> list[str]:
        lengths = rng.integers(1, 11, count)
        ends = np.cumsum(lengths).tolist()
        words = self._draw(rng, ends[-1] if ends else 0).tolist()
        return [" ".join(words[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]

    def _prose(self, language: str, rng: np.random.Generator) -> str:
        if language == "en":
            return " ".join(self._draw(rng, 80).tolist())
        return ". ".join(self._phrases[language][i] for i in rng.integers(2048, size=14).tolist())


def _language(site: int) -> str:
    share = (site * 0.6180339887) % 1
    for language, part in _LANGUAGES.items():
        if share < part:
            return language
        share -= part
    return "en"


def _script(rng: np.random.Generator) -> str:
    values = rng.integers(1 << 32, size=60).tolist()
    return "var c={" + ",".join(f'"k{value % 97}":{{id:{value},on:!0}}' for value in values) + "};load(c);"
