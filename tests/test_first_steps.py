"""What somebody new tries, and types wrongly: each error says what to do instead."""

from __future__ import annotations

import code
import gzip
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, Target, make_loss, metrics
from dfl.datasets import make_knapsack
from dfl.estimators import SPOTreeRegressor, TwoStageRidgeCV
from dfl.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers import (
    FromCallable,
    Knapsack,
    Maximize,
    MixedIntegerProgram,
    Program,
    TopK,
    check_oracle,
)
from dfl_solvers.imports import from_cvxpy, from_file, from_gurobi

ROOT = Path(__file__).parents[1]
DATA = make_knapsack(40, n_items=4, capacity=10, random_state=0)


def trained(**parameters: Any) -> DecisionFocusedRegressor:
    settings = {"max_iter": 1, "random_state": 0, **parameters}
    return DecisionFocusedRegressor(DATA.oracle, **settings).fit(DATA.X, DATA.C)


@pytest.mark.parametrize("page", ["README.md", "docs/quick_start.md"])
def test_the_first_pages_can_be_pasted_into_a_prompt(page: str) -> None:
    """A prompt ends a loop at a blank line only, and takes a line beyond it for a mistake."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        waiting: list[str] = []
        for line in [*block.splitlines(), ""]:
            waiting.append(line)
            # raises SyntaxError as the prompt does; None: it waits for more lines
            if code.compile_command("\n".join(waiting)) is not None:
                waiting = []
        assert waiting in ([], [""])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SPO+", "spo+"),
        ("spoplus", "spo+"),
        ("spo_plus", "spo+"),
        ("perturbed_fenchel_young", "perturbed-fenchel-young"),
        ("Squared", "squared"),
    ],
)
def test_a_loss_spelled_otherwise_is_recognized(typed: str, meant: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"did you mean '{re.escape(meant)}'\?"):
        trained(loss=typed)


def test_a_policy_loss_does_not_go_into_an_estimator() -> None:
    with pytest.raises(InvalidInputError) as caught:
        trained(loss="preference")
    assert "got a Knapsack" in str(caught.value)
    assert "weighted samples" in str(caught.value)
    assert " object at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DecisionFocusedRegressor(Knapsack), "expected the problem"),
        (lambda: DecisionFocusedRegressor(lambda c: c), "FromCallable"),  # type: ignore[arg-type]
        (lambda: PredictThenOptimizeRegressor(DATA.oracle, "ridge"), r"Ridge\(\)"),  # type: ignore[arg-type]
        (lambda: DecisionFocusedRegressor(DATA.oracle, max_iter="10"), "max_iter='10'"),  # type: ignore[arg-type]
    ],
)
def test_a_parameter_of_a_wrong_kind_is_named(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        make().fit(DATA.X, DATA.C)


def test_a_forest_as_predictor_is_sent_to_the_two_stage_model() -> None:
    from sklearn.ensemble import RandomForestRegressor

    with pytest.raises(InvalidInputError, match="goes into PredictThenOptimizeRegressor"):
        trained(predictor=RandomForestRegressor())


@pytest.mark.parametrize(
    "estimator",
    [DecisionFocusedRegressor, PredictThenOptimizeRegressor, SPOTreeRegressor, TwoStageRidgeCV],
)
@pytest.mark.parametrize(("what", "value"), [("NaN", np.nan), ("infinity", np.inf)])
def test_the_row_of_a_missing_cost_or_feature_is_named(
    estimator: Any, what: str, value: float
) -> None:
    X, C = DATA.X.copy(), DATA.C.copy()
    C[7, 3] = value
    with pytest.raises(ValueError, match=rf"Input y contains {what}.* row 7, column 3; fill it in"):
        estimator(DATA.oracle).fit(X, C)
    X[5, 1] = value
    with pytest.raises(ValueError, match=rf"Input X contains {what}.* row 5, column 1"):
        estimator(DATA.oracle).fit(X, C)


@pytest.mark.parametrize("oracle", [None, Knapsack, "knapsack"])
def test_only_an_oracle_is_maximized_or_checked(oracle: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"Maximize: got .* expected an oracle"):
        Maximize(oracle)
    with pytest.raises(InvalidInputError, match=r"check_oracle: got .* expected an oracle"):
        check_oracle(oracle)


def test_a_loss_takes_tensors() -> None:
    loss = make_loss("spo+", DATA.oracle)
    costs = torch.as_tensor(DATA.C)
    with pytest.raises(InvalidInputError, match=r"got output of type ndarray.*torch\.as_tensor"):
        loss(DATA.C, Target(costs))
    with pytest.raises(InvalidInputError, match=r"got costs of type ndarray.*torch\.as_tensor"):
        loss(costs, Target(DATA.C))


def test_a_group_with_too_few_items_says_how_many_are_needed() -> None:
    with pytest.raises(InfeasibleError, match="got 1 items, expected at least k=2"):
        DecisionFocusedRegressor(TopK(None, 2)).fit(DATA.X, DATA.C[:, 0])


def test_a_single_capacity_says_how_it_is_written() -> None:
    with pytest.raises(InvalidInputError, match=r"such as \[\[3, 4, 5\]\] and \[9\]"):
        Knapsack([3.0, 4.0, 5.0], 9.0)


def test_a_program_is_shown_in_a_line() -> None:
    program = Program(np.ones((1, 3)), [0], [2], np.zeros(3), np.ones(3), [True, True, False])
    assert repr(program) == "<Program: 1 rows, 3 variables, 2 of them integer>"
    assert "\n" not in repr(Maximize(MixedIntegerProgram(program)))


def test_an_error_in_a_function_of_ones_own_keeps_its_kind_and_names_the_instance() -> None:
    def choose(costs: Any) -> Any:
        return {1.0: [0, 1]}[costs[0]]

    with pytest.raises(KeyError) as caught:
        FromCallable(choose, n_costs=2).solve(np.array([[1.0, 2.0], [0.0, 1.0]]))
    assert caught.value.__notes__ == ["This is instance 1 of the batch."]


def test_no_regret_is_zero_and_not_minus_zero() -> None:
    for oracle, costs in ((DATA.oracle, DATA.C), (DATA.oracle.minimizing, -DATA.C)):
        regret = metrics.regret(oracle, costs, costs)
        assert not np.signbit(regret).any()


@pytest.mark.parametrize("ending", ["mps", "mps.gz"])
@pytest.mark.parametrize("word", ["Maximize", "Minimize"])
def test_a_file_of_pulp_says_in_a_comment_that_it_maximizes(
    tmp_path: Path, word: str, ending: str
) -> None:
    """What its writeMPS writes of max 5 a + 4 b, 3 a + 4 b <= 6: the sense is in no section."""
    text = (
        f"*SENSE:{word}\nNAME          shop\nROWS\n N  OBJ\n L  _C1\nCOLUMNS\n"
        "    MARK      'MARKER'                 'INTORG'\n"
        "    a         _C1        3.000000000000e+00\n"
        "    a         OBJ        5.000000000000e+00\n"
        "    b         _C1        4.000000000000e+00\n"
        "    b         OBJ        4.000000000000e+00\n"
        "    MARK      'MARKER'                 'INTEND'\n"
        "RHS\n    RHS       _C1        6.000000000000e+00\n"
        "BOUNDS\n BV BND       a\n BV BND       b\nENDATA\n"
    )
    path = tmp_path / f"shop.{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending == "mps.gz" else text.encode())
    found = from_file(path, costs=["a", "b"]).solve(np.array([[5.0, 4.0]]))
    expected = [[1, 0]] if word == "Maximize" else [[0, 0]]
    np.testing.assert_array_equal(found.decisions, expected)


def test_a_model_in_memory_is_to_be_written_first() -> None:
    with pytest.raises(InvalidInputError, match=r"of type object, .* model\.writeMPS"):
        from_file(object())  # type: ignore[arg-type]


def test_parameters_of_cvxpy_come_by_name() -> None:
    cp = pytest.importorskip("cvxpy")
    w, c = cp.Variable(2), cp.Parameter(2)
    problem = cp.Problem(cp.Minimize(c @ w), [cp.sum(w) == 1, w >= 0])
    with pytest.raises(InvalidInputError, match=r"as in predicted={'c': c}"):
        from_cvxpy(problem, predicted=c)


def test_a_variable_of_gurobi_is_not_its_name() -> None:
    gp = pytest.importorskip("gurobipy")
    model = gp.Model(env=gp.Env(params={"OutputFlag": 0}))
    model.addVar(name="x")
    with pytest.raises(InvalidInputError, match=r"model\.getVarByName finds one"):
        from_gurobi(model, costs=["x"])


def test_frames_in_another_order_are_not_paired_in_silence() -> None:
    X = pd.DataFrame(DATA.X, index=pd.date_range("2024-01-01", periods=len(DATA.X)))
    C = pd.DataFrame(DATA.C, index=X.index)
    model = PredictThenOptimizeRegressor(DATA.oracle)
    with pytest.warns(UserWarning, match=r"same index in another order.*y\.loc\[X\.index\]"):
        model.fit(X, C[::-1])
    with pytest.warns(UserWarning, match="same index in another order"):
        DecisionFocusedRegressor(DATA.oracle, max_iter=1).fit(X, C[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, C)
        model.fit(X, C[::-1].reset_index(drop=True))  # labels that say nothing of each other
        model.fit(X, DATA.C)


def test_a_picture_needs_names() -> None:
    from dfl.plotting import RegretDisplay

    with pytest.raises(InvalidInputError, match="got estimators of type list, expected a mapping"):
        RegretDisplay.from_estimators([trained()], DATA.X, DATA.C)  # type: ignore[arg-type]


def test_risk_is_a_rule_and_not_a_name() -> None:
    with pytest.raises(InvalidInputError, match=r"got risk='cvar', expected .* CVaR\(0\.9\)"):
        trained().decide(DATA.X, risk="cvar")  # type: ignore[call-overload]


def test_the_variables_of_a_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bakery.lp"
    path.write_text("minimize\n obj: bread + cake\nsubject to\n r: bread + cake >= 1\nend\n")
    with pytest.raises(InvalidInputError, match="it has: bread, cake"):
        from_file(path, costs=["value_a", "value_b"])
