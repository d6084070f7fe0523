"""The rows of a table by the group of languages that their label and score belong to."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.config.groups import NO_GROUP, Groups


def rows_by_group(groups: Groups, table: pa.Table) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return each group that occurs with its rows, ascending in both.

    Args:
        groups: the groups of the pool.
        table: with columns `lang` and `lang_score`.

    Raises:
        ValueError: if a row belongs to no group, so that it cannot have been matched with these groups.
    """
    of_row = groups.of_rows(table.column("lang"), table.column("lang_score"))
    order = np.argsort(of_row, kind="stable")
    present, first = np.unique(of_row[order], return_index=True)
    if NO_GROUP in present:
        label = table.column("lang")[int(order[0])].as_py()
        raise ValueError(f"row {order[0]} is labelled {label!r}, which is of no group with a list of entries")
    bounds = [*first.tolist(), len(order)]
    return [
        (groups.names[group], order[start:end])
        for group, start, end in zip(present.tolist(), bounds[:-1], bounds[1:], strict=True)
    ]


def group_column(groups: Groups, table: pa.Table) -> pa.Array:
    """Return the name of each row's group, as strings.

    Raises:
        ValueError: as `rows_by_group`.
    """
    names = np.empty(table.num_rows, object)
    for group, rows in rows_by_group(groups, table):
        names[rows] = group
    return pa.array(names, pa.string())
