"""Kernels: numeric code that numba compiles, or that Python runs as it stands.

Nothing here imports numba: a process that calls no compiled kernel does not wait for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

SHARED = tuple(
    Path(__file__).with_name(name) for name in ("jit.py", "compiler.py", "types.py", "memory.py", "llvm.py", "xxh3.py")
)
"""Files whose code is compiled into kernels of other files: where one changes, all are compiled anew."""

KERNELS: list["Kernel"] = []
"""All kernels of the modules that this process has imported."""

_PLAIN: ContextVar[bool] = ContextVar("plain", default=False)

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Make a kernel of a function: compiled on its first call, or run by Python inside `plainly`.

    Both give the same. See `metaclip.kernels.compiler` for how it is compiled. numba notices a change of the file
    that a kernel stands in, not of files that it calls into: a kernel and those that it calls belong in one file,
    or in one of SHARED.
    """
    return cast(Function, Kernel(function))


def native(function: Function) -> Function:
    """Declare that in compiled kernels a function is the code of that name in `metaclip.kernels.llvm`.

    Its Python is the definition; kernels that Python runs call it.
    """
    return cast(Function, Native(function))


def plain() -> bool:
    """Return whether work is to be done the plain way: without compiled kernels."""
    return _PLAIN.get()


@contextmanager
def plainly(way: bool = True) -> Iterator[None]:
    """Do what runs inside, in this thread, the plain way; the results are the same.

    Kernels are run by Python then. Where that would take long, whoever calls them asks `plain` and takes a library
    or the definition in their place.
    """
    token = _PLAIN.set(way)
    try:
        with np.errstate(over="ignore") if way else np.errstate():  # integers wrap around, as compiled ones do
            yield
    finally:
        _PLAIN.reset(token)


class Kernel:
    """A function, and its compiled form."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        update_wrapper(self, function)
        KERNELS.append(self)

    def __call__(self, *arguments: Any) -> Any:
        """Run it, by Python inside `plainly`."""
        return self.py_func(*arguments) if _PLAIN.get() else self.compiled(*arguments)

    @property
    def is_compiled(self) -> bool:
        """Whether this process has compiled it for some types, or has found that on disk."""
        return any(self.__dict__[form].signatures for form in ("compiled", "inner") if form in self.__dict__)

    @cached_property
    def compiled(self) -> Any:
        """Numba's dispatcher for calls from Python: it compiles for their types, or finds the code on disk."""
        return compiler().dispatcher_of(self.py_func, SHARED)

    @cached_property
    def inner(self) -> Any:
        """Numba's dispatcher for calls from kernels."""
        return compiler().inner_dispatcher_of(self.py_func)


class Native:
    """A function that is written in LLVM's language for compiled kernels."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        self.name = function.__name__
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        """Run the definition."""
        return self.py_func(*arguments)


@cache
def compiler() -> ModuleType:
    """Return `metaclip.kernels.compiler`, which knows the kernels from then on."""
    from metaclip.kernels import compiler as module

    module.introduce(Kernel, Native)
    return module


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
