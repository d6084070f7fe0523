"""Which group of languages a text belongs to, by its label, and how the texts of a group are matched.

The shipped table, `metaclip/data/languages.tsv`, has a row for each group: its name, its labels of lid.176, its
wikis (the 329 of MetaCLIP 2, arXiv 2507.22062), its WordNets in the Open Multilingual Wordnet, the rule of its
boundaries, and what was done where codes mislead. A configuration changes it by `languages.groups`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.config.languages import Boundaries, Languages, Spacing

TABLE = Path(__file__).parents[1] / "data" / "languages.tsv"

OTHER = "other"
"""The group of texts without a language of their own, and of wikis without a label."""

NO_GROUP = -1
"""The position of a group, for a text of a label whose group has no list."""

Rule = Literal["paper", "unicode", "characters", "words"]
"""How entries are found in texts: `match.boundaries`, or `match.spacing` where those are the paper's."""


@dataclass(frozen=True)
class LanguageGroup:
    """One row of the table."""

    name: str
    labels: tuple[str, ...]
    wikis: tuple[str, ...]
    wordnets: tuple[str, ...]
    boundaries: Boundaries
    spacing: Spacing = "paper"
    note: str = ""

    @property
    def rule(self) -> Rule:
        """How entries are found in its texts."""
        return self.spacing if self.boundaries == "paper" else self.boundaries


@cache
def shipped_groups() -> Mapping[str, LanguageGroup]:
    """Return the groups of the shipped table, by name."""
    _, *rows = TABLE.read_text(encoding="utf-8").splitlines()
    groups = {}
    for row in rows:
        name, labels, wikis, wordnets, boundaries, note = row.split("\t")
        groups[name] = LanguageGroup(
            name,
            tuple(labels.split()),
            tuple(wikis.split()),
            tuple(wordnets.split()),
            cast(Boundaries, boundaries),
            note=note,
        )
    return MappingProxyType(groups)


def configured_groups(
    languages: Languages, spacing: Spacing = "paper", boundaries: Boundaries | None = None
) -> dict[str, LanguageGroup]:
    """Return the shipped groups as a configuration changes them, by name.

    Args:
        languages: the section `languages`.
        spacing: `match.spacing`, for the groups that say nothing else.
        boundaries: `match.boundaries`, likewise; None for those of the table.

    Raises:
        ValueError: a label or a wiki is in two groups, or a new group has no labels; it names them.
    """
    given = languages.groups
    labels = _owners(((name, group.labels) for name, group in given.items()), "label")
    wikis = _owners(((name, group.wikis) for name, group in given.items()), "wiki")
    found = {
        name: replace(
            group,
            labels=tuple(label for label in group.labels if labels.get(label, name) == name),
            wikis=tuple(wiki for wiki in group.wikis if wikis.get(wiki, name) == name),
            spacing=spacing,
            boundaries=boundaries or group.boundaries,
        )
        for name, group in shipped_groups().items()
    }
    for name, changed in given.items():
        if name not in found and changed.labels is None:
            raise ValueError(f"languages.groups.{name}: a group that is not in the shipped table needs `labels`")
        group = found.get(name, LanguageGroup(name, (), (), (), boundaries or "paper", spacing))
        found[name] = LanguageGroup(
            name,
            group.labels if changed.labels is None else tuple(changed.labels),
            group.wikis if changed.wikis is None else tuple(changed.wikis),
            group.wordnets,
            changed.boundaries or group.boundaries,
            changed.spacing or group.spacing,
            group.note,
        )
    return found


def _owners(codes: Iterable[tuple[str, list[str] | None]], what: str) -> dict[str, str]:
    owners: dict[str, str] = {}
    for name, given in codes:
        for code in given or ():
            if owners.setdefault(code, name) != name:
                raise ValueError(f"languages.groups: the {what} {code!r} is in two groups, {owners[code]} and {name}")
    return owners


@dataclass(frozen=True)
class Groups:
    """The groups of a pool that have a list of entries."""

    names: tuple[str, ...]
    """Ascending. A group is known by its position here within a process, and by its name in files."""
    reference: str
    """The group that t is for."""
    by_label: Mapping[str, str]
    """The group of each label that has one of `names`."""
    rules: Mapping[str, Rule]
    """How entries are found in the texts of each of `names`."""
    other_below: float | None = None
    """Texts with a score under this belong to the group `other`, whatever their label; None: all follow their label."""

    def of(self, label: str, score: float = 1.0) -> str | None:
        """Return the group of one text, or None if no group with a list has its label."""
        if self.other_below is not None and np.float32(score) < np.float32(self.other_below):
            return OTHER
        return self.by_label.get(label)

    def labels_of(self, name: str) -> list[str]:
        """Return the labels of a group, ascending."""
        return sorted(label for label, group in self.by_label.items() if group == name)

    def of_rows(self, labels: pa.Array | pa.ChunkedArray, scores: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int16]:
        """Return the position in `names` of the group of each text, int16[n], or NO_GROUP.

        Args:
            labels: n strings, the column `lang`.
            scores: n of float32, the column `lang_score`.
        """
        coded = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
        if not pa.types.is_dictionary(coded.type):
            coded = coded.dictionary_encode()
        positions = {name: position for position, name in enumerate(self.names)}
        known = [positions.get(self.by_label.get(label, ""), NO_GROUP) for label in coded.dictionary.to_pylist()]
        rows: npt.NDArray[np.int16] = np.array([*known, NO_GROUP], np.int16)[coded.indices.to_numpy()]
        if self.other_below is not None:
            rows[np.asarray(scores, np.float32) < np.float32(self.other_below)] = positions[OTHER]
        return rows

    def met(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the groups, ascending, that texts of these labels can belong to."""
        labels = list(labels)
        found = {self.by_label[label] for label in labels if label in self.by_label}
        return tuple(sorted(found | {OTHER} if labels and self.other_below is not None else found))
