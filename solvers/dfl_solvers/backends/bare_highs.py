"""HiGHS without what its Python class adds, on one thread of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import highspy
import scipy.sparse as sp

from dfl_solvers.oracle import Array

# a forked child has none of the threads that the parent's scheduler may have started
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lambda: highspy.Highs.resetGlobalScheduler(False))


def bare_highs(options: Mapping[str, Any]) -> Any:
    """Return a new HiGHS object with some options.

    It is of the base class alone: what ``Highs`` adds to it are callbacks, and HiGHS prints a
    banner for them.

    Parameters
    ----------
    options : mapping
        Values by HiGHS' names.

    Returns
    -------
    highspy.Highs
    """
    highs: Any = highspy.Highs.__new__(highspy.Highs)
    super(highspy.Highs, highs).__init__()
    for name, value in options.items():
        highs.setOptionValue(name, value)
    return highs


def linear_program(
    costs: Array, A: Any, row_lower: Array, row_upper: Array, lower: Array, upper: Array
) -> Any:
    """Return a linear program over k variables with m rows as HiGHS takes it.

    Parameters
    ----------
    costs, lower, upper : ndarray of shape (k,)
    A : sparse array of shape (m, k)
    row_lower, row_upper : ndarray of shape (m,)

    Returns
    -------
    highspy.HighsLp
    """
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = A.shape
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = costs, lower, upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    matrix = sp.csc_array(A)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    return lp


def run_highs(highs: Any) -> Any:
    """Run HiGHS on one thread and return the outcome.

    Parameters
    ----------
    highs : highspy.Highs

    Returns
    -------
    highspy.HighsModelStatus
    """
    if highs.run() == highspy.HighsStatus.kError:
        # someone else's HiGHS has set up this thread's scheduler for more threads: take it as it is
        highs.setOptionValue("threads", 0)
        highs.run()
    return highs.getModelStatus()
