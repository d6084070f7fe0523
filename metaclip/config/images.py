"""The part of the configuration for pictures: how they are inspected, which stay, and what counts as the same."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from metaclip.config.base import Address, Model


class Inspect(Model):
    """How much a picture may take while it is decoded; a picture beyond that is counted by its reason."""

    max_pixels: int = Field(default=89_478_485, ge=1)
    """Pixels of a picture by its header; one with more is not decoded."""
    max_bytes: int = Field(default=50 << 20, ge=1)
    """Bytes of a picture's file."""
    seconds: float = Field(default=10.0, gt=0)
    """Seconds for one picture."""


class HashList(Model):
    """A file of `metaclip images hash`, or a text file with one hash on each line."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """What it is called in reports, such as imagenet-val."""
    path: Address
    """Where it is."""
    radius: int = Field(default=31, ge=0, le=64)
    """How many of the 256 bits of `area64` may differ."""


class Filter(Model):
    """Which pictures stay. Nothing here decodes a picture again."""

    min_side: int = Field(default=0, ge=0)
    """Pixels of the shorter side of the original picture (COYO-700M: 200)."""
    max_aspect: float = Field(default=0.0, ge=0)
    """Longer by shorter side of the original picture (COYO-700M: 3); 0 for any."""
    min_bytes: int = Field(default=0, ge=0)
    """Bytes of the stored picture, which are those that were served only with `--resize-mode no` (COYO-700M: 5000)."""
    score_files: list[Address] = Field(default=[])
    """Parquet files with a column `uid` (32 hex digits) and columns of scores that any tool gave."""
    scores: dict[str, tuple[float | None, float | None]] = Field(default={})
    """The least and the largest value of scores by name, such as `{aesthetic: [4.5, null], nsfw: [null, 0.5]}`.
    A picture without the score is left out too."""
    safety: list[str] = Field(default=["nsfw"])
    """Names of scores that tell what must not be shown: pictures with more than 0.2 are on no contact sheet."""
    eval_sets: list[HashList] = Field(default=[])
    """Evaluation sets: pictures near one of theirs are left out."""
    block: list[HashList] = Field(default=[])
    """Lists of what must not be there; such pictures are counted and never shown."""

    @field_validator("scores")
    @classmethod
    def _in_order(
        cls, scores: dict[str, tuple[float | None, float | None]]
    ) -> dict[str, tuple[float | None, float | None]]:
        for name, (least, largest) in scores.items():
            if least is not None and largest is not None and least > largest:
                raise ValueError(f"{name}: the least value, {least:g}, exceeds the largest, {largest:g}")
        return scores

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.scores and not self.score_files:
            raise ValueError("`scores` has bounds, but `score_files` names no file that holds scores")
        names = [each.name for each in (*self.eval_sets, *self.block)]
        if len(set(names)) != len(names):
            raise ValueError("two lists of `eval_sets` and `block` have the same name")
        return self


class ImageDedup(Model):
    """Which pictures count as the same, and which of them stays."""

    by: Literal["near", "equal", "none"] = "near"
    """`equal`: the same bytes as served, or the same pixels; `near`: also those within `radius`."""
    radius: int = Field(default=16, ge=0, le=31)
    """How many of the 256 bits of `area64` may differ."""
    max_colour: float = Field(default=6.0, ge=0, le=255)
    """Mean difference of the colours of 16 areas, of 255."""
    tables: int = Field(default=16, ge=8, le=32)
    """Tables of 32 of the 256 bits, in which near pictures are looked up; eight of them find every distance up to 7."""
    max_run: int = Field(default=1000, ge=2)
    """So many pictures of one key are compared with each other; what is left out is counted as capped."""
    keep: Literal["rarest", "largest"] = "rarest"
    """Which stays: the picture whose pairs have the rarest entry, then the larger one; or the larger one first."""


class Images(Model):
    """What `metaclip rebalance --images` does with downloaded pictures."""

    inspect: Inspect = Inspect()
    filter: Filter = Filter()
    dedup: ImageDedup = ImageDedup()
