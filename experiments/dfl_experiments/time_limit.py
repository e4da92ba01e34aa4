"""A limit on the time of a computation, in whatever thread it runs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator

# code that must not be broken off: a module would stay half imported, a kernel half compiled
_WHOLE = ("<frozen importlib", f"{os.sep}numba{os.sep}")


class OutOfTime(BaseException):
    """The time is over; no ordinary exception, so that nobody takes it for one of theirs."""


@contextlib.contextmanager
def time_limit(seconds: float | None, give_up: Callable[[], None], grace: float) -> Iterator[None]:
    """Raise in this thread once the time is over.

    An alarm of the operating system would do for the main thread only, and a cluster computes in
    others. Compiled code hears of the end when it returns to Python; imports and compilation
    come to their end first; where the time ended in them, it begins anew.

    Parameters
    ----------
    seconds : float or None
        None: no limit.
    give_up : callable
        Called from another thread if the computation still goes on after the time of grace.
    grace : float
        Seconds.

    Raises
    ------
    OutOfTime
    """
    if seconds is None:
        yield
        return
    thread, over, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def watch() -> None:
        if over.wait(seconds):
            return
        while _inside(thread, _WHOLE):
            while _inside(thread, _WHOLE):
                if over.wait(0.02):
                    return
            if over.wait(seconds):
                return
        with lock:
            if over.is_set():
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(OutOfTime)
            )
        if not over.wait(grace):
            give_up()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        try:
            with lock:
                over.set()
        except OutOfTime:  # it came just here
            over.set()
            raise


def _inside(thread: int, files: tuple[str, ...]) -> bool:
    """Say whether a thread is running something of files with these parts in their names."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in files):
            return True
        frame = frame.f_back
    return False
