"""How compiled kernels are run: over (lo, hi) ranges of a batch, without the interpreter's lock.

A kernel is a Numba function ``f(lo, hi, *arrays)`` that handles instances lo to hi - 1. Small
batches run in the calling thread; large ones in chunks over one shared pool of threads. Numba's own
``prange`` is not used: one of its threading layers dies after ``fork()``, another aborts when two
Python threads call it at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

from dfl_solvers.exceptions import InvalidInputError

# below this many instances of a microsecond a second thread costs more than it saves
SERIAL = 512
# the same where an instance takes some ten microseconds, and some hundred
SLOW = 128
HARD = 16
# chunks per thread: instances may differ in difficulty, so threads take new work as they finish
_CHUNKS = 4

# division as NumPy's: a check for zero before each would keep loops out of the vector registers
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

# kernels stamped since all that they call is known: at first, what follows in their file is not
_stamped: set[Any] = set()
_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_inside = threading.local()
_n_threads: int | None = None


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel on first use, with a cache on disk where one can be written.

    Parameters
    ----------
    function : callable
        Takes (lo, hi, *arrays) and writes its results into the arrays.

    Returns
    -------
    callable
        The compiled function; callable from other kernels as well.
    """
    if getattr(numba.config, "DISABLE_JIT", False):  # to debug, or to measure coverage
        return function
    try:
        compiled = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        # a read-only installation and no writable cache folder: compile in every process
        return part(function)
    _stamp(compiled)
    return compiled


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a part of kernels: it is compiled with each that calls it, and cached with it.

    Parameters
    ----------
    function : callable
        Any that Numba compiles.

    Returns
    -------
    callable
        The compiled function, for use in kernels.
    """
    return numba.njit(**_OPTIONS)(function)


def _stamp(compiled: Any) -> None:
    """Tie what a kernel has in the cache on disk to the files of all functions that it calls.

    And to this file, which says how they are compiled: Numba itself asks only whether the kernel's
    own has changed, and what an older release left in the cache must not be run.
    """
    cache: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if not hasattr(cache, "_source_stamp"):
        return
    found, ahead = set(), [compiled]
    while ahead:
        function = ahead.pop()
        if function not in found:
            found.add(function)
            code, names = function.py_func.__code__, function.py_func.__globals__
            called = map(names.get, code.co_names)
            ahead += [other for other in called if isinstance(other, type(compiled))]
    files = {function.py_func.__code__.co_filename for function in found} | {__file__}
    with contextlib.suppress(OSError):  # sources that are no files, as in an archive
        stamps = [(at.st_size, at.st_mtime) for at in map(os.stat, sorted(files))]
        cache._source_stamp = tuple(stamps)


def run(compiled: Callable[..., None], n: int, *arrays: Any, serial: int = SERIAL) -> None:
    """Run a kernel over a batch of n instances.

    Parameters
    ----------
    compiled : kernel
        Made by ``kernel``.
    n : int
        Number of instances.
    *arrays
        Passed to the kernel after ``lo`` and ``hi``.
    serial : int
        Below this many instances a second thread costs more than it saves: ``SLOW`` where an
        instance takes some ten microseconds, ``HARD`` where it takes a hundred.
    """
    if compiled not in _stamped:
        _stamp(compiled)
        _stamped.add(compiled)
    threads = n_threads() if n >= serial else 1
    if threads == 1 or getattr(_inside, "worker", False):
        _call(compiled, 0, n, *arrays)
        return
    step = max(serial // 4, -(-n // (threads * _CHUNKS)), 1)
    bounds = [(lo, min(lo + step, n)) for lo in range(0, n, step)]
    _call(compiled, *bounds[0], *arrays)  # compiles, if need be, before the threads start
    work = [_pool(threads).submit(_call, compiled, lo, hi, *arrays) for lo, hi in bounds[1:]]
    for part in work:
        part.result()


def n_threads() -> int:
    """Return how many threads a large batch uses: what was set, else all this process may use."""
    if _n_threads is not None:
        return _n_threads
    return _available()


def set_threads(n: int | None) -> None:
    """Set how many threads a large batch uses, in this process.

    Parameters
    ----------
    n : int or None
        At least 1; None for all that this process may use.

    Raises
    ------
    InvalidInputError
        If ``n`` is below 1.
    """
    global _n_threads
    if n is not None and n < 1:
        raise InvalidInputError(f"got {n} threads, expected at least 1")
    _n_threads = n


@functools.cache
def _available() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _call(compiled: Callable[..., None], *arguments: Any) -> None:
    try:
        compiled(*arguments)
    except OSError:
        # kernels touch no files: the cache could not be written, but the code is compiled now
        compiled(*arguments)


def _pool(threads: int) -> ThreadPoolExecutor:
    """Return this process's pool; a forked child gets a new one, since threads do not fork."""
    key = os.getpid(), threads
    with _lock:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, "dfl-kernel", initializer=_enter)
        return _pools[key]


def _enter() -> None:
    _inside.worker = True


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # the parent may have held it
    _pools.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
