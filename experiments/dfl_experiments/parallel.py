"""Where joblib computes, and what may happen to its processes."""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

from dfl.exceptions import InvalidInputError
from dfl_solvers.exceptions import import_optional


@contextlib.contextmanager
def where(backend: str, address: str | None) -> Iterator[None]:
    """Let joblib compute on a back-end of its own by name, or on a Dask cluster at an address.

    Raises
    ------
    InvalidInputError
        If there is no such back-end, no scheduler at the address, or no worker.
    """
    from joblib import parallel_config

    if backend == "dask":
        distributed: Any = import_optional("distributed", "sweep")
        try:
            client = distributed.Client(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"cannot reach a Dask scheduler at {address}: {error}"
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=10)
            except TimeoutError as error:
                raise InvalidInputError(
                    f"the Dask scheduler at {address} has no worker, expected one at least; start "
                    f"it by: dask worker --nthreads 1 {address}"
                ) from error
            with parallel_config(backend="dask", client=client, n_jobs=-1):
                yield
        return
    # workers whose parent was killed notice by having nothing to do
    options = {"inner_max_num_threads": 1, "idle_worker_timeout": 10}
    try:
        config = parallel_config(backend=backend, **options if backend == "loky" else {})
    except (ValueError, ImportError) as error:
        raise InvalidInputError(f"backend: got {backend!r}: {error}") from error
    with config, warnings.catch_warnings():
        # it starts another one, and what was computed is kept
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        yield


def is_death(error: Exception) -> bool:
    """Say whether the process of a cell died; Dask has an error of its own for it."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C, which the terminal sends to all of them.

    This process hears it and stops them; on their own they would print a traceback each.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
