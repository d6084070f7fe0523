"""Contact sheets without the pictures of pairs that were taken out on request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metaclip.images.dedup.cover_job import DROPPED
from metaclip.images.dedup.sheets_job import SHEETS, ImageSheetsJob
from metaclip.stages.curate import Removed, removed_uids
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter


@dataclass(frozen=True)
class ShownSheetsJob(Job):
    """Leave out of contact sheets each cell that shows an image of which a pair was taken out."""

    STAGE: ClassVar[str] = ImageSheetsJob.STAGE
    VERSION: ClassVar[int] = ImageSheetsJob.VERSION

    sheets: Reference
    cover: Reference
    removed: tuple[Removed, ...]
    """Of the partitions that have any."""

    def config(self) -> Mapping[str, Any]:
        """Return what tells these sheets from whole ones."""
        return {"without": True}

    def inputs(self) -> list[str]:
        """Return the key of the whole sheets, and the digests of what was taken out."""
        # Not as an input, which `metaclip gc` would keep.
        return [f"sheets:{self.sheets.key}", *(f"removed:{each.sha256}" for each in self.removed)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the cells that are left."""
        hidden = {int(high) for each in self.removed for high in removed_uids(store, each.reference)["f0"]}
        cells: list[dict[str, Any]] = store.output_json(self.sheets.manifest, SHEETS)
        keepers = self._keepers(store, [_image(cell) for section in cells for cell in section["cells"]])
        found = [
            {
                **section,
                "cells": [cell for cell in section["cells"] if not {_image(cell), keepers.get(_image(cell))} & hidden],
            }
            for section in cells
        ]
        pictures = sum(len(cell["pictures"]) for section in found for cell in section["cells"])
        output.json(SHEETS, found, sum(len(section["cells"]) for section in found))
        return {"counts": {"pictures": pictures}}

    def _keepers(self, store: Store, images: Sequence[int]) -> dict[int, int]:
        """Return the image that stands beside each copy."""
        file = store.open_parquet(self.cover, DROPPED)
        found: dict[int, int] = {}
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["image", "keeper"])
            image, keeper = (column.to_numpy() for column in table.columns)
            rows = np.flatnonzero(np.isin(image, np.array(images, np.uint64)))
            found.update(zip(image[rows].tolist(), keeper[rows].tolist(), strict=True))
        return found


def _image(cell: Mapping[str, Any]) -> int:
    return int(cell["uid"][:16], 16)
