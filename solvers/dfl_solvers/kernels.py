"""How compiled kernels are run: over (lo, hi) ranges of a batch, without the interpreter's lock.

A kernel is a Numba function ``f(lo, hi, *arrays)`` that handles instances lo to hi - 1. Small
batches run in the calling thread; large ones in chunks over one shared pool of threads. Numba's own
``prange`` is not used: one of its threading layers dies after ``fork()``, another aborts when two
Python threads call it at once.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

from dfl_solvers.exceptions import InvalidInputError

# below this many instances a second thread costs more than it saves
SERIAL = 512
# chunks per thread: instances may differ in difficulty, so threads take new work as they finish
_CHUNKS = 4

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
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        # a read-only installation and no writable cache folder: compile in every process
        return numba.njit(nogil=True)(function)


def run(compiled: Callable[..., None], n: int, *arrays: Any) -> None:
    """Run a kernel over a batch of n instances.

    Parameters
    ----------
    compiled : kernel
        Made by ``kernel``.
    n : int
        Number of instances.
    *arrays
        Passed to the kernel after ``lo`` and ``hi``.
    """
    threads = n_threads()
    if n < SERIAL or threads == 1 or getattr(_inside, "worker", False):
        _call(compiled, 0, n, arrays)
        return
    step = max(SERIAL // 4, -(-n // (threads * _CHUNKS)))
    bounds = [(lo, min(lo + step, n)) for lo in range(0, n, step)]
    _call(compiled, *bounds[0], arrays)  # compiles, if need be, before the threads start
    work = [_pool(threads).submit(_call, compiled, lo, hi, arrays) for lo, hi in bounds[1:]]
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


def _call(compiled: Callable[..., None], lo: int, hi: int, arrays: tuple[Any, ...]) -> None:
    try:
        compiled(lo, hi, *arrays)
    except OSError:
        # kernels touch no files: the cache could not be written, but the code is compiled now
        compiled(lo, hi, *arrays)


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
