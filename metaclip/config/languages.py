"""The part of the configuration for pools in many languages: which groups there are."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from metaclip.config.base import Model
from metaclip.config.language_labels import LABELS

Spacing = Literal["paper", "unicode"]
Boundaries = Literal["paper", "characters", "words"]


def _norwegian(code: object) -> object:
    """Return `no`, the code of Norwegian, for what YAML takes it for."""
    return "no" if code is False else code


Code = Annotated[str, BeforeValidator(_norwegian)]
"""The code of a language, a wiki or a group."""

GroupName = Annotated[Code, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]
"""The name of a group of languages, which is part of file names."""


class Group(Model):
    """A group of languages with a list of entries of its own. What is not given is as in the shipped table."""

    labels: list[Code] | None = None
    """Labels of lid.176 whose texts belong to the group."""
    wikis: list[Code] | None = None
    """Codes of the Wikipedias that its metadata are built from, such as `zh-classical`."""
    spacing: Spacing | None = None
    """As `match.spacing`, for this group."""
    boundaries: Boundaries | None = None
    """As `match.boundaries`, for this group."""

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: list[str] | None) -> list[str] | None:
        for label in labels or ():
            if label not in LABELS:
                raise ValueError(f"{label!r} is not one of lid.176's 176 labels, such as `en`, `de`, `zh`")
        return labels


class Languages(Model):
    """The groups of languages of a pool with a list of entries for each (`metadata.languages`)."""

    reference: Code | None = None
    """The group that `balance.t` is for. Default: the only group that has metadata."""
    groups: dict[GroupName, Group] = Field(default={})
    """Groups by name: those of the shipped table (docs/worldwide.md), changed by what is given here. A label or wiki
    that is given here leaves the group that the table has it in."""
    below_score: Literal["drop", "other"] = "drop"
    """Where texts with a language score under `match.min_lang_score` go: nowhere, or to the group `other`."""
