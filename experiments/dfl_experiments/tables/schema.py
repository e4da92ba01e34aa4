"""Which columns mean what, and how they become the arrays of a fit."""

from __future__ import annotations

from typing import final

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.tables.csv_file import CSVFile, as_number
from dfl_solvers.oracle import Array

# more texts in one column are no categories but names, dates or notes
_MOST_CATEGORIES = 50


@final
class Schema(AbstractModel):
    """What the columns of a table are; learned from the training table, kept with the model.

    Attributes
    ----------
    features : list of str
        Columns that predict.
    categories : dict
        For each feature that is text, the texts of the training table; one indicator each.
    costs : list of str
        Wide: a column a cost. Long: the one column of costs.
    instance, item : str or None
        Long: the columns that say to which instance and item a row belongs.
    items : list of str
        Long with ``item``: the items in the order of the oracle's costs.
    """

    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    costs: tuple[str, ...]
    instance: str | None = None
    item: str | None = None
    items: tuple[str, ...] = ()

    @classmethod
    def learn(
        cls,
        table: CSVFile,
        features: list[str],
        costs: list[str],
        instance: str | None,
        item: str | None,
    ) -> Schema:
        """Look at the training table.

        Raises
        ------
        InvalidInputError
            If columns overlap, are missing or mix numbers with texts.
        """
        if item is not None and instance is None:
            raise InvalidInputError("got --item without --instance, expected both for long tables")
        if instance is not None and len(costs) != 1:
            raise InvalidInputError(
                f"got {len(costs)} columns of costs with --instance, expected one: a long table "
                "has a row an item"
            )
        named = [*features, *costs, *(name for name in (instance,) if name)]
        for name in named:
            if named.count(name) > 1:
                raise InvalidInputError(f"the column {name!r} is named for two purposes")
        categories = {}
        for name in features:
            texts = table.texts(name)
            if all(as_number(text) is None for text in texts):
                found = tuple(sorted(set(texts)))
                if len(found) > _MOST_CATEGORIES:
                    raise InvalidInputError(
                        f"{table.path}: column {name!r} holds {len(found)} different texts such as "
                        f"{found[0][:40]!r}, expected numbers or at most {_MOST_CATEGORIES} "
                        "categories; leave the column out, or turn it into numbers"
                    )
                categories[name] = found
        items: tuple[str, ...] = ()
        if item is not None:
            labels = dict.fromkeys(table.texts(item))
            numeric = all(as_number(label) is not None for label in labels)
            items = tuple(sorted(labels, key=_number) if numeric else labels)
        return cls(
            features=tuple(features),
            categories=categories,
            costs=tuple(costs),
            instance=instance,
            item=item,
            items=items,
        )

    @property
    def long(self) -> bool:
        """Whether a row is an item and not an instance."""
        return self.instance is not None

    def X(self, table: CSVFile) -> Array:
        """Return the features (n, p) of a table, categories as indicators.

        Raises
        ------
        InvalidInputError
            If a column is missing, or a value is missing, no number or of no known category.
        """
        columns = []
        for name in self.features:
            known = self.categories.get(name)
            if known is None:
                columns.append(table.numbers(name))
                continue
            texts = table.texts(name)
            for line, text in zip(table.lines, texts, strict=True):
                if text not in known:
                    raise InvalidInputError(
                        f"{table.path}: line {line}: column {name!r}: got {text[:40]!r}, expected "
                        f"one of the texts of the training table: {', '.join(known)}"
                    )
            columns += [np.array([text == value for text in texts], float) for value in known]
        return np.column_stack(columns)

    def C(self, table: CSVFile) -> Array:
        """Return the costs: (n, d) of a wide table, (n,) of a long one."""
        costs = np.column_stack([table.numbers(name) for name in self.costs])
        return costs[:, 0] if self.long else costs

    def order(self, table: CSVFile) -> tuple[Array, Array | None]:
        """Return the order of rows in which items stand as the oracle's costs, and their groups.

        Raises
        ------
        InvalidInputError
            If an instance lacks an item, has one twice or has an unknown one.
        """
        if self.instance is None:
            return np.arange(len(table.rows)), None
        labels = table.texts(self.instance)
        places = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        groups = np.array([places[label] for label in labels])
        if self.item is None:
            order = np.argsort(groups, kind="stable")
            return order, groups[order]
        ranks = {label: i for i, label in enumerate(self.items)}
        found = np.full((len(places), len(self.items)), -1)
        for row, label in enumerate(table.texts(self.item)):
            where = f"{table.path}: line {table.lines[row]}: {self.instance} {labels[row]!r}"
            if label not in ranks:
                raise InvalidInputError(
                    f"{where} has the item {label[:40]!r}, which the training table does not have"
                )
            if found[groups[row], ranks[label]] >= 0:
                raise InvalidInputError(f"{where} has the item {label!r} twice")
            found[groups[row], ranks[label]] = row
        lacking = np.argwhere(found < 0)
        if len(lacking):
            group, rank = lacking[0]
            raise InvalidInputError(
                f"{table.path}: {self.instance} {list(places)[group]!r} lacks the item "
                f"{self.items[rank]!r} (and {len(lacking) - 1} more are missing)"
            )
        order = found.ravel()
        return order, groups[order]


def _number(text: str) -> float:
    number = as_number(text)
    return 0.0 if number is None else number
