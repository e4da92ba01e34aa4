"""Long data: rows to instances and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfl.estimators._long import LongLayout
from dfl.estimators._split import split
from dfl.exceptions import InvalidInputError
from dfl_solvers import TopK


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_scatter_undoes_gather(groups: list[int]) -> None:
    layout = LongLayout(groups, len(groups), TopK(None, 1))
    values = np.arange(len(groups), dtype=float) + 1
    wide = layout.gather(values)
    np.testing.assert_array_equal(layout.scatter(wide), values)
    assert wide.shape == (len(set(groups)), max(groups.count(g) for g in groups))
    assert list(layout.labels) == list(dict.fromkeys(groups))
    for label, row in zip(layout.labels, wide, strict=True):
        members = [v for v, g in zip(values, groups, strict=True) if g == label]
        np.testing.assert_array_equal(row[: len(members)], members)
        assert not row[len(members) :].any()


def test_dates_order_instances() -> None:
    days = np.array(["2020-01-03", "2020-01-01", "2020-01-03", "2020-01-01"], "datetime64[D]")
    layout = LongLayout(days, 4, TopK(2, 1))
    np.testing.assert_array_equal(layout.gather(np.arange(4)), [[1, 3], [0, 2]])
    assert layout.mask is None


def test_sizes_are_checked_by_name() -> None:
    with pytest.raises(InvalidInputError, match=r"group b has 1 rows, expected 2.*takes no mask"):
        LongLayout(["a", "a", "b"], 3, _NoMask())
    with pytest.raises(InvalidInputError, match="group a has 3 rows, expected at most 2"):
        LongLayout(["a", "a", "a", "b"], 4, TopK(2, 1))
    with pytest.raises(InvalidInputError, match=r"groups of shape \(2,\), expected \(3,\)"):
        LongLayout(["a", "b"], 3, TopK(2, 1))
    with pytest.raises(InvalidInputError, match="missing a label at row 1"):
        LongLayout(np.array([1.0, np.nan]), 2, TopK(2, 1))
    with pytest.raises(InvalidInputError, match="labels of different kinds"):
        LongLayout(np.array(["a", None], dtype=object), 2, TopK(2, 1))


class _NoMask:
    n_costs = 2
    instance_fields = frozenset()


def test_dated_splits_look_ahead(rng: np.random.Generator) -> None:
    from sklearn.model_selection import KFold, TimeSeriesSplit

    dates = rng.permutation(np.arange("2020-01-01", "2020-04-01", dtype="datetime64[D]"))
    for cv in (None, TimeSeriesSplit(4)):
        train, validation = split(len(dates), 0.2, cv, rng, dates=dates)
        assert dates[train].max() < dates[validation].min()
        assert len(validation) >= 0.18 * len(dates)
    with pytest.raises(InvalidInputError, match=r"needs? a splitter that looks ahead"):
        split(len(dates), 0.2, KFold(3, shuffle=True, random_state=0), rng, dates=dates)


def test_groups_are_not_torn(rng: np.random.Generator) -> None:
    from sklearn.model_selection import GroupKFold

    groups = rng.integers(0, 12, 90)
    for cv in (None, GroupKFold(4)):
        train, validation = split(90, 0.25, cv, rng, groups=groups)
        assert not set(groups[train]) & set(groups[validation])
        assert len(train) + len(validation) == 90


def test_splits_refuse_nonsense(rng: np.random.Generator) -> None:
    from sklearn.model_selection import GroupKFold

    with pytest.raises(InvalidInputError, match="validation_fraction=1"):
        split(50, 1.0, None, rng)
    with pytest.raises(InvalidInputError, match="cannot split 20 instances"):
        split(20, 0.2, GroupKFold(30), rng, groups=np.arange(20))
    train, validation = split(9, 0.2, None, rng)
    assert (len(train), len(validation)) == (9, 0)
