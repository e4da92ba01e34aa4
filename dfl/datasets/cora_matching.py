"""Which papers cite each other: bipartite matchings in the Cora citation graph."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from dfl.datasets._files import locate
from dfl.exceptions import InvalidInputError
from dfl_solvers import DiverseMatching, Maximize
from dfl_solvers.oracle import Array

_NAME, _HASH = "cora.npz", "5bed1c1fa5aa048d69457e39783c8060cab8339dedfaee803f89de0fa3ebb181"
_SIDE = 50


def fetch_cora_matching(
    *,
    share: float = 0.25,
    n_directions: int = 32,
    data_home: str | os.PathLike[str] | None = None,
) -> Bunch:
    """Fetch bipartite matchings of 50 papers with 50 others, 27 of them, from a citation graph.

    Real, few and unbalanced: about one pair in a hundred is a citation. Predict from the words of
    two papers whether one cites the other, and match as many as possible, with a share of pairs of
    the same field and one of different fields.

    Parameters
    ----------
    share : float, default=0.25
        Least share of pairs of the same field, and of different fields. Published: 0.1, 0.25, 0.5.
    n_directions : int, default=32
        Principal directions of the words, in which two papers are compared.
    data_home : path, optional
        Folder of the file ``cora.npz``. Default: the user's cache folder; the environment variable
        ``DFL_DATA`` comes first.

    Returns
    -------
    Bunch
        Long data, a row per pair: ``X`` (67500, n_directions + 1), ``y`` (67500,) is 1 for a
        citation, ``groups`` (67500,), ``instance`` with ``same_field`` (27, 50, 50), ``papers``
        (27, 2, 50) numbers in the graph, ``oracle`` (a maximizing ``DiverseMatching``) and
        ``feature_names``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or the file is missing or damaged. It cannot be downloaded:
        the published files are pickles, which run code. It is an archive of arrays made from them:
        ``feature_indptr``, ``feature_indices``, ``shape``, ``labels``, ``edges``.

    Notes
    -----
    A feature is the product of the two papers' coordinates in one principal direction of the words;
    the last is the number of words that they share.

    The 27 blocks of the literature came from METIS and are not published with the code; these are
    an own partition, so that regrets are not those of the literature. A block grows from the paper
    of most citations by the paper with most links to it, as long as there is one, and its two
    sides are improved by moves that leave more citations between them.

    References
    ----------
    Sen et al., "Collective Classification in Network Data", AI Magazine 29, 2008,
    doi 10.1609/aimag.v29i3.2157; Ferber, Wilder, Dilkina & Tambe, "MIPaaL", AAAI 2020,
    arXiv 1907.05912.
    """
    if not 1 <= n_directions <= 200:
        raise InvalidInputError(f"got n_directions={n_directions!r}, expected a number 1 to 200")
    path = locate(_NAME, _refuse, _HASH, data_home, True)
    with np.load(path, allow_pickle=False) as file:
        shape, labels, edges = tuple(file["shape"]), file["labels"], file["edges"]
        indices, indptr = file["feature_indices"], file["feature_indptr"]
    words = sp.csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
    n = shape[0]
    both = np.concatenate([edges, edges[:, ::-1]])
    links = sp.csr_array((np.ones(len(both)), both.T), shape=(n, n))
    papers = np.array([_sides(block, links) for block in _blocks(links)])
    where = _directions(words, n_directions)
    X, y = [], []
    for left, right in papers:
        products = where[left][:, None] * where[right][None]
        shared = (words[left] @ words[right].T).toarray()[..., None]
        X.append(np.concatenate([products, shared], axis=2).reshape(_SIDE**2, -1))
        y.append(links[left][:, right].toarray().ravel())
    same = labels[papers[:, 0]][:, :, None] == labels[papers[:, 1]][:, None, :]
    return Bunch(
        X=np.concatenate(X),
        y=np.minimum(np.concatenate(y), 1.0),
        groups=np.repeat(np.arange(len(papers)), _SIDE**2),
        instance={"same_field": same},
        papers=papers,
        oracle=Maximize(DiverseMatching(np.zeros((_SIDE, _SIDE), dtype=bool), share, share)),
        feature_names=[*(f"direction {k}" for k in range(n_directions)), "shared words"],
    )


def _refuse(path: Path) -> None:
    raise InvalidInputError(
        f"{path} does not exist and cannot be downloaded; put the file {_NAME} there, or into the "
        "folder that DFL_DATA names"
    )


def _blocks(links: sp.csr_array) -> list[Array]:
    """Cut the graph into blocks of 100 papers that cite each other; the rest is left out."""
    degree = links.sum(axis=1)
    free = np.ones(len(degree), dtype=bool)
    blocks = []
    while free.sum() >= 2 * _SIDE:
        inside = np.zeros(len(degree))
        block: list[int] = []
        while len(block) < 2 * _SIDE:
            # most links into the block, then most links at all
            paper = int(np.argmax(np.where(free, inside + 1e-4 * degree, -1.0)))
            block.append(paper)
            free[paper] = False
            inside += links[[paper]].toarray().ravel()
        blocks.append(np.sort(block))
    return blocks


def _sides(block: Array, links: sp.csr_array) -> Array:
    """Split a block into two sides (2, 50) with many links between them, by the best exchanges."""
    inner = links[block][:, block].toarray()
    sign = np.where(np.arange(2 * _SIDE) < _SIDE, 1.0, -1.0)
    while True:
        gain = (inner @ sign) * sign  # links within the own side, less those to the other
        left, right = np.flatnonzero(sign > 0), np.flatnonzero(sign < 0)
        exchange = gain[left][:, None] + gain[right][None] + 2 * inner[np.ix_(left, right)]
        i, j = np.unravel_index(np.argmax(exchange), exchange.shape)
        if exchange[i, j] <= 0:
            return np.stack([block[left], block[right]])
        sign[left[i]], sign[right[j]] = -1.0, 1.0


def _directions(words: sp.csr_array, k: int) -> Array:
    """Return the papers' coordinates (n, k) in the principal directions of their words."""
    dense = words.toarray()
    dense /= np.sqrt(dense.sum(axis=1, keepdims=True))
    dense -= dense.mean(axis=0)
    values, vectors = np.linalg.eigh(dense.T @ dense)
    where: Array = dense @ vectors[:, ::-1][:, :k]
    scaled: Array = where / np.sqrt(values[::-1][:k] / len(dense))
    return scaled
