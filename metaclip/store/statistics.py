"""The statistics of a manifest: what other parts of the project may rely on when they read them."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metaclip.errors import StoreError

_Count = Annotated[int, Field(ge=0)]


class _Sizes(BaseModel):
    """Lists by t of one length, see `balance.size_ladder`."""

    model_config = ConfigDict(strict=True)

    t: list[float]
    pairs: list[_Count]
    tail_pairs: list[_Count]
    expected: list[float]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len({len(column) for column in (self.t, self.pairs, self.tail_pairs, self.expected)}) > 1:
            raise ValueError("lists of different lengths")
        return self


class _Group(BaseModel):
    """Counts of the list of one group of languages."""

    model_config = ConfigDict(strict=True)

    entries: _Count
    entries_with_matches: _Count
    matches: _Count
    largest: _Count


class _Known(BaseModel):
    """Statistics that stages write and others read, none of them by all stages; nobody reads what is not here.

    The defaults only say that a name may be missing.
    """

    model_config = ConfigDict(strict=True)

    counts: dict[str, _Count] = {}
    languages: dict[str, _Count] = {}
    groups: dict[str, _Count] = {}
    by_label: dict[str, dict[str, _Count]] = {}
    by_group: dict[str, dict[str, _Count]] = {}
    text_keys: dict[str, _Count] = {}
    text_lengths: list[_Count] = []
    matches_a_pair: list[_Count] = []
    segments: list[_Count] = []
    failed_files: list[dict[str, str]] = []
    file_bytes: dict[str, _Count | None] = {}
    sketch: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*=*$")] = ""
    sizes: _Sizes = _Sizes(t=[], pairs=[], tail_pairs=[], expected=[])
    sizes_by_language: dict[str, _Sizes] = {}
    entries: _Count = 0
    by_language: dict[str, _Group] = {}
    reference: str = ""
    largest_host_left_out: _Count = 0


def check_statistics(statistics: dict[str, Any]) -> None:
    """Check the types of all statistics that somebody reads.

    Raises:
        pydantic.ValidationError: one has another type.
    """
    _Known.model_validate(statistics)


class Statistics(dict[str, Any]):
    """Statistics by name, which say whose they are if one is asked for that they do not have."""

    def __init__(self, content: dict[str, Any], whose: str) -> None:
        super().__init__(content)
        self._whose = whose
        if "counts" in content:
            self["counts"] = Statistics(content["counts"], f"{whose}: counts")

    def __missing__(self, name: str) -> Any:
        raise StoreError(
            f"{self._whose}: its manifest states no `{name}`; delete the manifest and run the pool again, which makes"
            " the output anew"
        )
