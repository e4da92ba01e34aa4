"""Ask for labels, learn from them, stop."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, Self, final

import numpy as np
import numpy.typing as npt

from dfl._validation import check_at_least
from dfl.design import _choice, _files
from dfl.design._law import pool_law
from dfl.design._record import Record, check_told
from dfl.design._scoring import check_pool
from dfl.design.protocols import Criterion, GreedyCriterion, Model, StoppingRule, Verdict
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Oracle


@final
class SequentialDesign:
    r"""Decide which rows to label next, learn from the labels, and say when to stop.

    Labels cost money, and not all of them change decisions. A design asks for rows of a pool,
    more often where the criterion sees more to learn, and returns weights that undo this bias. All
    of it lies in memory, or, with ``state``, in a file that survives any interruption.

    Parameters
    ----------
    model : FiniteHypothesisClass, BayesianLinearRegression, BootstrapCommittee or other model
        What learns; it is changed by ``tell``.
    criterion : criterion
        Such as ``DirectionalUncertainty()``.
    oracle : Oracle
        The problem that the costs feed.
    stopping : stopping rule, optional
        Such as ``SlackBelow(0.1)``. Without, stop when there is nothing left to learn: the
        criterion was zero on the whole pool at the last ``ask``.
    floor : float, default=0.05
        Share of labels that are drawn by the law of the pool, whatever the criterion says. It
        bounds the weights by ``1 / floor`` and keeps every direction of the features learned about.
    random_state : int, Generator or None
        Seeds the draws of rows.
    selection : {"sample", "max"}, default="sample"
        ``"max"`` takes the best row, and, with probability ``floor``, any. It is for criteria of
        whole designs only (``IntegratedDirectionalDesign``, ``IOptimal``, ``AOptimal``,
        ``DOptimal``): the largest uncertainty of a single row is a bad guide.
    repeats : bool, default=False
        False: a row is labeled once, such as a text. True: a row is a design that may be measured
        again, such as a category or a condition; the guarantee of elimination needs it.
    state : path, optional
        A folder. A design that was saved there is continued; it is saved after each ``ask`` and
        each ``tell``.

    Attributes
    ----------
    indices_ : ndarray of shape (t,)
        Rows that were labeled, in the order of the labels.
    X_, C_ : ndarray of shape (t, p), (t, d)
        Their features and costs: fit any estimator on them.
    weights_ : ndarray of shape (t,)
        Their importance weights, its ``sample_weight``.
    pending_ : list of (int, float)
        Rows asked for and not yet told, with weights.
    history_ : list of dict
        An entry a ``tell``: ``labels``, ``mean_uncertainty`` at the last ask, and numbers of the
        model.
    verdict_ : Verdict
        Of the last ``should_stop``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range, or ``state`` holds a damaged or another design.
    UnsupportedError
        If the criterion is not one for ``selection="max"``.

    Notes
    -----
    A row is drawn from

    .. math::

        q(x) = (1 - \kappa) \frac{p(x) U(x)}{\sum_{x'} p(x') U(x')} + \kappa \, p(x)

    with the criterion U, the law p of the pool and the floor :math:`\kappa`, and weighs
    :math:`p(x) / q(x)`. Among all laws this one (with floor zero) minimizes the largest weighted
    uncertainty :math:`\max_x p(x) U(x) / q(x)`. Without repeats, p is the law of the rows that are
    left. With ``selection="max"`` all weights are one: there is no law to correct for, and a model
    of costs given features needs none.

    The file ``design.npz`` in the folder holds JSON and arrays, with checksums and no pickle,
    random state included. It is replaced in one step. What it does not hold is the pool, the
    hypotheses, the oracle and the parameters: construct the design as before to continue.

    References
    ----------
    Wan, Liu, Grigas & Shen, "Decision-Focused Sequential Experimental Design: A Directional
    Uncertainty-Guided Approach", 2026, arXiv 2602.05340. Law, weights and elimination are
    reconstructed.

    Examples
    --------
    Three hypotheses for the costs of two alternatives in four situations; the first is true.

    >>> import numpy as np
    >>> from dfl.design import DirectionalUncertainty, FiniteHypothesisClass, SequentialDesign
    >>> from dfl_solvers import Simplex
    >>> truth = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 3.0], [3.0, 1.0]])
    >>> model = FiniteHypothesisClass(np.stack([truth, 2 * truth, truth[:, ::-1]]), lipschitz=0.5)
    >>> design = SequentialDesign(
    ...     model, DirectionalUncertainty(), Simplex(2), repeats=True, random_state=0
    ... )
    >>> while not design.should_stop():
    ...     indices, weights = design.ask(np.arange(4))
    ...     _ = design.tell(indices, truth[indices])
    >>> model.survivors_
    array([0, 1])

    The second survives: it makes the same decisions.
    """

    def __init__(
        self,
        model: Model,
        criterion: Criterion,
        oracle: Oracle,
        stopping: StoppingRule | None = None,
        floor: float = 0.05,
        random_state: Any = None,
        *,
        selection: Literal["sample", "max"] = "sample",
        repeats: bool = False,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        if not 0 <= floor <= 1:
            raise InvalidInputError(f"SequentialDesign: got floor={floor}, expected 0 to 1")
        if selection not in ("sample", "max"):
            raise InvalidInputError(
                f"SequentialDesign: got selection={selection!r}, expected 'sample' or 'max'"
            )
        if selection == "max" and not isinstance(criterion, GreedyCriterion):
            raise UnsupportedError(
                f"SequentialDesign: selection='max' with {type(criterion).__name__}: the largest "
                "uncertainty of a single row is a bad guide; sample by it, or use a criterion of "
                "whole designs, such as IntegratedDirectionalDesign"
            )
        try:
            self._rng = np.random.default_rng(random_state)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"got random_state={random_state!r}: {error}") from error
        self.model = model
        self.criterion = criterion
        self.oracle = oracle
        self.stopping = stopping
        self.floor = floor
        self.random_state = random_state
        self.selection = selection
        self.repeats = repeats
        self.state = state
        self._record = Record()
        self._pool: tuple[Array, Array] | None = None
        self._stamp: tuple[int, ...] | None = None
        if state is not None and _files.stamp(Path(state)) is not None:
            self.load(state)

    @property
    def indices_(self) -> Array:
        """Rows that were labeled, (t,)."""
        return np.array([one.draw.number for one, _ in self._record.labeled], dtype=int)

    @property
    def weights_(self) -> Array:
        """Importance weights of the labels, (t,)."""
        return np.array([one.draw.weight for one, _ in self._record.labeled])

    @property
    def X_(self) -> Array:
        """Features of the labels, (t, p)."""
        return np.array([one.row for one, _ in self._record.labeled])

    @property
    def C_(self) -> Array:
        """Costs of the labels, (t, d)."""
        return np.array([costs for _, costs in self._record.labeled])

    @property
    def pending_(self) -> list[tuple[int, float]]:
        """Rows asked for and not yet told, with their weights."""
        return [(one.draw.number, one.draw.weight) for one in self._record.pending]

    @property
    def history_(self) -> list[dict[str, float]]:
        """An entry a ``tell``."""
        return list(self._record.history)

    def ask(
        self, pool: npt.ArrayLike, n: int = 1, *, pool_weight: npt.ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Choose rows to label.

        Parameters
        ----------
        pool : array-like of shape (N, p)
            Features of all rows, the same each time.
        n : int, default=1
            How many.
        pool_weight : array-like of shape (N,), optional
            How much each row counts, up to a factor: the law of the pool. Default: equally.

        Returns
        -------
        indices : ndarray of shape (n,)
            Rows of the pool; with ``repeats`` one may come several times.
        weights : ndarray of shape (n,)
            Their importance weights.

        Raises
        ------
        InvalidInputError
            If the pool is empty, not finite, or not that of before, or fewer than n rows are left.
            Nothing is changed then.
        UnsupportedError
            If model and criterion do not go together.
        """
        rows = check_pool(pool)
        self._record.check_same(rows)
        law = pool_law(pool_weight, len(rows))
        check_at_least(1, "ask", n=n)
        allowed = np.ones(len(rows), dtype=bool)
        if not self.repeats:
            allowed = self._record.open_rows(len(rows))
            left = np.count_nonzero(allowed)
            if n > left:
                raise InvalidInputError(
                    f"ask: got n={n}, but {left} of {len(rows)} rows are left; with repeats=True a "
                    "row may be labeled again"
                )
        random, before = self._rng.bit_generator.state, (self._record, self._pool)
        try:
            how = self.floor, n, allowed, self.repeats, self._rng
            model, criterion, oracle = self.model, self.criterion, self.oracle
            if self.selection == "max" and isinstance(criterion, GreedyCriterion):
                draws, mean = _choice.best(model, criterion, oracle, rows, law, *how)
            else:
                draws, mean = _choice.sample(model, criterion, oracle, rows, law, *how)
            self._record, self._pool = self._record.ask(draws, rows, mean), (rows, law)
            self._autosave()
        except BaseException:
            self._rng.bit_generator.state = random
            self._record, self._pool = before
            raise
        numbers = np.array([one.number for one in draws], dtype=int)
        return numbers, np.array([one.weight for one in draws])

    def tell(self, indices: npt.ArrayLike, C: npt.ArrayLike) -> Self:
        """Learn from labels.

        Parameters
        ----------
        indices : array-like of shape (m,)
            Rows of the pool that were asked for, in any order; the others remain pending.
        C : array-like of shape (m, d)
            Their costs (values, for a maximizing oracle).

        Returns
        -------
        self
            The design itself.

        Raises
        ------
        InvalidInputError
            If a row was never asked for or is told twice, or a cost is missing or not finite.
            Nothing is learned then.
        """
        told, costs = check_told(indices, C, self.oracle.n_costs)
        before, learned = self._record, self.model.get_state()
        places = before.places(told)
        try:
            self.model.update(before.labels(places, costs), self.oracle)
            record = before.tell(places, costs)
            entry = {
                "labels": float(len(record.labeled)),
                "mean_uncertainty": record.mean_uncertainty,
                **self.model.summary(),
            }
            self._record = dataclasses.replace(record, history=(*record.history, entry))
            self._autosave()
        except BaseException:
            self.model.set_state(learned)
            self._record = before
            raise
        return self

    def should_stop(self, pool: npt.ArrayLike | None = None) -> bool:
        """Ask the stopping rule; ``verdict_`` says what it found and what it certifies.

        Parameters
        ----------
        pool : array-like of shape (N, p), optional
            Default: the pool of the last ``ask``.

        Returns
        -------
        bool
            Also true when every row has been labeled.

        Raises
        ------
        InvalidInputError
            If the rule needs a pool and none was asked yet, as after ``load``.
        """
        rows, law = self._pool if self._pool is not None else (None, None)
        if pool is not None:
            rows = check_pool(pool)
            law = pool_law(None, len(rows)) if law is None or len(law) != len(rows) else law
        n = len(self._record.labeled)
        if not self.repeats and n and n == self._record.n_pool:
            self.verdict_ = Verdict(True, n, n, True, "every row is labeled")
        elif self.stopping is not None:
            self.verdict_ = self.stopping.assess(self.model, rows, self.oracle, law, self.repeats)
        else:
            value = self._record.mean_uncertainty
            self.verdict_ = Verdict(
                value == 0, value, 0.0, False, "the criterion was zero at the last ask"
            )
        return self.verdict_.stop

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save the state to a folder, in one step; an older state there is replaced.

        Raises
        ------
        InvalidInputError
            If the folder cannot be written; an older state is left as it was.
        """
        content, arrays = self._record.pack()
        learned = {f"model_{name}": array for name, array in self.model.get_state().items()}
        content |= {"parts": self._parts(), "random": self._rng.bit_generator.state}
        _files.write(Path(folder), content, {**arrays, **learned})

    def load(self, folder: str | os.PathLike[str]) -> Self:
        """Continue from what ``save`` saved, by a design of the same parts.

        Returns
        -------
        self
            The design itself.

        Raises
        ------
        FileNotFoundError
            If there is no state.
        InvalidInputError
            If the state is damaged, or that of a design with other parts. Design and file are left
            as they were.
        """
        content, arrays = _files.read(Path(folder))
        _files.check_same(folder, content["parts"], self._parts())
        before = self.model.get_state()
        try:
            record = Record.unpack(content, arrays)
            rng = _files.generator_from(content["random"])
            self.model.set_state(_files.part(arrays, "model_"))
        except (KeyError, TypeError, ValueError) as error:
            self.model.set_state(before)
            raise InvalidInputError(
                f"{folder} does not fit this design, and was left as it is: {error}"
            ) from error
        self._record, self._rng, self._pool = record, rng, None
        if self.state is not None and Path(folder) == Path(self.state):
            self._stamp = _files.stamp(Path(folder))
        return self

    def _parts(self) -> dict[str, Any]:
        return {
            "model": repr(self.model),
            "criterion": repr(self.criterion),
            "floor": self.floor,
            "selection": self.selection,
            "repeats": self.repeats,
        }

    def _autosave(self) -> None:
        if self.state is None:
            return
        folder = Path(self.state)
        if _files.stamp(folder) != self._stamp:
            raise InvalidInputError(
                f"{folder / _files.NAME} was changed or removed by others since it was read; "
                "nothing was written. Load it again to continue from there"
            )
        self.save(folder)
        self._stamp = _files.stamp(folder)
