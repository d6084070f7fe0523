"""Which of Arrow's types hold texts: one rule for all columns of files of pairs."""

import pyarrow as pa

_TEXTS = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary,
)  # fmt: skip
_LISTS = (
    pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list,
    pa.types.is_list_view, pa.types.is_large_list_view,
)  # fmt: skip


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type holds texts: with the mark or without (binary), with a dictionary or without."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(test(kind) for test in _TEXTS)


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type holds lists."""
    return any(test(kind) for test in _LISTS)
