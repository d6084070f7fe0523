"""Compiling numeric kernels with numba, the same way everywhere."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core.compiler_lock import global_compiler_lock

try:
    import fcntl
except ImportError:  # not on Windows, where each process compiles for itself
    fcntl = None  # type: ignore[assignment]

SHARED = tuple(Path(__file__).with_name(name) for name in ("jit.py", "memory.py", "xxh3.py"))
"""Files whose code is compiled into kernels of other files: where one changes, all are compiled anew."""

logger = logging.getLogger(__name__)

_unliteral: Any = types.unliteral

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_locked: set[Path] = set()
"""The lock files that this process holds, guarded by numba's compiler lock."""


def kernel(function: Kernel) -> Kernel:
    """Compile a function on its first call and keep the machine code on disk for other processes.

    The code is kept in `__pycache__`, or in the folder named by NUMBA_CACHE_DIR; where no folder can
    be written, every process compiles for itself. Processes that start together wait for the one
    that compiles. Floating point stays IEEE: no reassociation, no fused multiply-add; a division by
    zero gives infinity. The GIL is released.

    numba notices a change of the file that a kernel stands in, not of files that it calls into: a
    kernel and those that it calls belong in one file, or in one of SHARED.
    """
    try:
        dispatcher: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError as error:
        # numba's only way to say that no cache folder is writable (read-only image, no home).
        logger.warning("%s is compiled anew in every process: %s", function.__qualname__, error)
        return cast(Kernel, njit(nogil=True, error_model="numpy")(function))
    # What numba takes for the version of the source.
    cached = dispatcher._cache._cache_file
    cached._source_stamp = (cached._source_stamp, *(_stamp(file) for file in SHARED))
    compile_or_load = dispatcher.compile
    lock = Path(dispatcher.stats.cache_path) / f"{function.__module__}.lock"

    def compile_once(signature: Any) -> Any:
        with _alone(lock):
            return compile_or_load(signature)

    dispatcher.compile = compile_once
    resolve = dispatcher.get_call_template

    def resolve_once(arguments: Any, named: Any) -> Any:
        # A constant in a call would be a type of its own, and the function compiled once more for it.
        return resolve(tuple(map(_unliteral, arguments)), {name: _unliteral(of) for name, of in named.items()})

    dispatcher.get_call_template = resolve_once
    return cast(Kernel, dispatcher)


def _stamp(file: Path) -> tuple[float, int]:
    found = file.stat()
    return found.st_mtime, found.st_size


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a file's lock, so that other processes find in the cache what is compiled meanwhile."""
    # numba's own lock first, everywhere: threads of one process would wait for each other else.
    with global_compiler_lock:
        if fcntl is None or lock in _locked:  # a kernel that calls another of its file compiles both
            yield
            return
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            logger.debug("%s: no lock, so processes may compile the same: %s", lock, error)
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _locked.add(lock)
            yield
        finally:
            _locked.discard(lock)
            os.close(descriptor)


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
