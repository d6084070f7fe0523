"""Compiling kernels with numba. `metaclip.kernels.jit` imports this where a kernel is first to be compiled."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import typeof_impl

from metaclip.kernels.clock import COMPILING
from metaclip.kernels.llvm import INTRINSICS

try:
    import fcntl
except ImportError:  # not on Windows, where each process compiles for itself
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_njit: Any = njit
_nopython_passes: Any = DefaultPassBuilder.define_nopython_pipeline
_unliteral: Any = types.unliteral

_OPTIONS: Any = {"error_model": "numpy", "no_cfunc_wrapper": True}
"""Of all kernels. Nobody calls them from C."""


def dispatcher_of(function: Callable[..., Any], shared: Sequence[Path]) -> Any:
    """Return what compiles a function on its first call, and keeps the machine code on disk for other processes.

    The code is kept in `__pycache__`, or in the folder named by NUMBA_CACHE_DIR; where no folder can
    be written, every process compiles for itself. Processes that start together wait for the one
    that compiles. Floating point stays IEEE: no reassociation, no fused multiply-add; a division by
    zero gives infinity. The GIL is released. Where one of the `shared` files changes, it is compiled anew.
    """
    try:
        dispatcher: Any = _njit(cache=True, nogil=True, **_OPTIONS)(function)
    except RuntimeError as error:
        # numba's only way to say that no cache folder is writable (read-only image, no home).
        logger.warning("%s is compiled anew in every process: %s", function.__qualname__, error)
        return _njit(nogil=True, **_OPTIONS)(function)
    # What numba takes for the version of the source.
    cached = dispatcher._cache._cache_file
    cached._source_stamp = (cached._source_stamp, *(_stamp(file) for file in shared))
    compile_or_load = dispatcher.compile
    lock = Path(dispatcher.stats.cache_path) / f"{function.__module__}.lock"

    def compile_once(signature: Any) -> Any:
        with _alone(lock), COMPILING:
            return compile_or_load(signature)

    dispatcher.compile = compile_once
    return dispatcher


def inner_dispatcher_of(function: Callable[..., Any]) -> Any:
    """Return what compiles a function for the kernels that call it, to become a part of their machine code.

    It has no machine code of its own and is not kept on disk, so Python cannot call it. See `_InnerLibrary`.
    """
    dispatcher: Any = _njit(no_cpython_wrapper=True, pipeline_class=_InnerCompiler, **_OPTIONS)(function)
    resolve = dispatcher.get_call_template

    def resolve_once(arguments: Any, named: Any) -> Any:
        # A constant in a call would be a type of its own, and the function compiled once more for it.
        return resolve(tuple(map(_unliteral, arguments)), {name: _unliteral(of) for name, of in named.items()})

    dispatcher.get_call_template = resolve_once
    return dispatcher


class _InnerLibrary(JITCodeLibrary):
    """The code of a function that is linked into that of its callers: optimized, but no machine code.

    numba makes machine code of every function that is called, and what Python and C need to call it: a fifth of the
    time that compiling took. To leave the optimizing to the callers too saves a tenth more, but the machine code of
    their loops is up to 13 % slower.
    """

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return null, which stands for no machine code."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0

    @property
    def codegen(self) -> "_InnerLibrary":
        """What is told of the environment that machine code needs."""
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing, as there is no machine code."""


class _InnerCompiler(CompilerBase):
    """The usual compiler, into an `_InnerLibrary`."""

    def define_pipelines(self) -> list[Any]:
        """Return the usual passes."""
        library: Any = _InnerLibrary
        self.state.library = library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return [_nopython_passes(self.state)]


def _stamp(file: Path) -> tuple[float, int]:
    found = file.stat()
    return found.st_mtime, found.st_size


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a file's lock, so that other processes find in the cache what is compiled meanwhile."""
    # numba's own lock first, everywhere: threads of one process would wait for each other else.
    with global_compiler_lock:
        if fcntl is None:
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
            yield
        finally:
            os.close(descriptor)


def introduce(kernel: type[Any], native: type[Any]) -> None:
    """Tell numba what the objects of `metaclip.kernels.jit` are: a kernel that calls another sees these.

    A `kernel` is its inner dispatcher, and a `native` the code of its name in `metaclip.kernels.llvm`.
    """
    resolve: Any = cpu_target.typing_context.resolve_value_type
    typeof: Any = typeof_impl
    typeof.register(kernel)(lambda value, _context: resolve(value.inner))
    typeof.register(native)(lambda value, _context: resolve(INTRINSICS[value.name]))
