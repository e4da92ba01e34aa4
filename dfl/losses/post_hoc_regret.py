"""Expected post-hoc regret of noisy constraints, by its likelihood-ratio gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from dfl._validation import check_positive
from dfl.exceptions import InfeasibleError, InvalidInputError
from dfl.losses._score import Baseline, NormalScore
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.recourse.base import AbstractRecourse, check_recourse
from dfl_solvers.recourse.field import PredictedField, repeated


@final
class PostHocRegretLoss(AbstractLoss):
    r"""Post-hoc regret of predicted constraints, smoothed by noise on them; for any recourse.

    Outputs are numbers of a constraint, such as the weights of items, and enter the oracle as data
    of each instance; costs are known. ``dfl.ConstraintRegressor`` trains with it. Each step costs
    ``n_samples`` solves a sample in one call, and as many for a recourse that solves.

    Parameters
    ----------
    oracle : Oracle
        A problem whose instances may have constraints of their own, such as ``Knapsack``.
    predicts : str
        The field that outputs are: one of the oracle's ``instance_fields``.
    recourse : AbstractRecourse
        What is done once the truth is known, and its penalty.
    positions : sequence of int, optional
        Which entries of the field are predicted; the others are known. Default: all.
    unit : float, default=1.0
        An output times the unit is a number of the constraint.
    sigma : float, default=0.1
        Standard deviation of the noise, in units of the outputs.
    n_samples : int, default=10
        Number of noise draws a sample and step, at least 2.
    baseline : {"leave-one-out", "mean", "standardized"}, default="leave-one-out"
        What is taken from regrets before they weigh the noise; see ``ScoreFunctionLoss``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or the oracle has no such field.

    See Also
    --------
    ScoreFunctionLoss : The same for predicted costs.
    dfl.metrics.post_hoc_regret : The regret itself.

    Notes
    -----
    For normal noise Z_k, constraints ``a_k = unit (p + sigma Z_k)`` (cut off at zero where negative
    ones have no meaning) and their post-hoc regrets r_k::

        l(p) = E[r],   estimated by (1/K) sum_k r_k
        gradient = (1/K) sum_k A_k Z_k / sigma,   A_k = r_k less a baseline

    The target holds the costs and, in ``instance``, the true constraints. The loss is made by its
    class, since it needs more than an oracle.

    References
    ----------
    Silvestri et al., "Score Function Gradient Estimation to Widen the Applicability of
    Decision-Focused Learning", 2023, arXiv 2307.05213. Hu, Lee & Lee, arXiv 2311.08022, for the
    regret.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target
    >>> from dfl.losses import PostHocRegretLoss
    >>> from dfl_solvers import Knapsack, Maximize, Reoptimize
    >>> oracle = Maximize(Knapsack([[1.0, 1.0, 1.0]], [6.0]))
    >>> loss = PostHocRegretLoss(oracle, "weights", Reoptimize(drop=0.5), sigma=0.01)
    >>> truth = {"weights": torch.tensor([[[3.0, 4.0, 3.0]]]).numpy()}
    >>> target = Target(costs=torch.tensor([[5.0, 4.0, 3.0]]), instance=truth)
    >>> loss(torch.tensor([[3.0, 2.9, 9.0]]), target)
    tensor(2.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives"})

    def __init__(
        self,
        oracle: Oracle,
        predicts: str,
        recourse: AbstractRecourse,
        positions: Sequence[int] | None = None,
        unit: float = 1.0,
        sigma: float = 0.1,
        n_samples: int = 10,
        baseline: Baseline = "leave-one-out",
    ) -> None:
        super().__init__(oracle)
        check_positive(self, unit=unit)
        self.predicts = predicts
        self.field = PredictedField(self.oracle, predicts, positions)
        self.recourse = check_recourse(recourse, "PostHocRegretLoss")
        self.unit = unit
        self.sigma = sigma
        self.n_samples = n_samples
        self.baseline = baseline
        self.generator = torch.Generator().manual_seed(0)
        self.score = NormalScore("PostHocRegretLoss", sigma, n_samples, baseline)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean regret over the draws, with the score-function gradient; shape (n,)."""
        if target.instance is None or self.predicts not in target.instance:
            raise InvalidInputError(
                f"PostHocRegretLoss: the target holds no true {self.predicts}; expected them in "
                "its instance data"
            )
        drawn = self.score.draw(output, self.generator)  # type: ignore[arg-type]
        n, k, q = drawn.shape
        costs = target.costs[:, None].expand(n, k, target.costs.shape[1])
        true = repeated(target.instance, k)
        numbers = _array(drawn).reshape(n * k, q) * self.unit
        rows = costs.reshape(n * k, -1)
        try:
            decisions, _ = self.solve(rows, self.field.given(numbers, true))
        except InfeasibleError as error:
            raise InfeasibleError(
                f"PostHocRegretLoss, {k} draws an instance, one after the other: {error}; no "
                f"prediction of {self.predicts} may leave the set empty: give the problem slack at "
                "a price"
            ) from error
        if self._solved is not None:
            self._solved[-1] = decisions.reshape(costs.shape)
        settled = self.recourse.settle(self.oracle, _array(decisions), _array(rows), true)
        objectives = torch.from_numpy(settled.objectives).reshape(n, k).to(target.costs)
        return self.score.mean(output, drawn, objectives - target.objectives[:, None])


def _array(values: Tensor) -> Array:
    return values.detach().double().cpu().numpy()
