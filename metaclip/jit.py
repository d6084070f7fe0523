"""Compiling numeric kernels with numba, the same way everywhere."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

_log = logging.getLogger(__name__)

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """Compile a function on its first call and keep the machine code on disk for other processes.

    The code is kept in `__pycache__`, or in the folder named by NUMBA_CACHE_DIR; where no folder can
    be written, every process compiles for itself. Floating point stays IEEE: no reassociation, no
    fused multiply-add; a division by zero gives infinity. The GIL is released.

    numba notices a change of the file that a kernel stands in, not of files that it calls into: a
    kernel and those that it calls belong in one file.
    """
    try:
        return cast(Kernel, njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError as error:
        # numba's only way to say that no cache folder is writable (read-only image, no home).
        _log.warning("%s is compiled anew in every process: %s", function.__qualname__, error)
        return cast(Kernel, njit(nogil=True, error_model="numpy")(function))


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a contiguous read-only array of the dtype, without a copy where none is needed.

    Memory-mapped files and Arrow buffers are read-only, and numba compiles once more for writable
    arrays: with every input frozen, one compilation serves all.

    Raises:
        TypeError: where the values may not fit the dtype (numpy's `safe` rule).
    """
    given = np.asarray(array)
    try:
        result = np.ascontiguousarray(given.astype(dtype, casting="safe", copy=False)).view()
    except TypeError as error:
        raise TypeError(f"expected {np.dtype(dtype)}, got {given.dtype}: convert it explicitly") from error
    result.flags.writeable = False
    return result
