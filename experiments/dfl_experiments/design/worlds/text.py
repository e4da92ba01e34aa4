"""Texts as numbers: counts and proportions, frequent words, or a local embedding model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfl.exceptions import InvalidInputError, MissingDependencyError
from dfl_experiments.design.worlds.base import Features
from dfl_solvers.oracle import Array


def text_features(
    texts: Sequence[str], kind: Features, n_components: int, model: str | None
) -> Array:
    """Turn texts into standardized numbers (n, p); nothing about the answers is used.

    Parameters
    ----------
    texts : sequence of str
        One a row.
    kind : {"statistics", "words", "embedding"}
        Lengths and shares of kinds of letters; these and the largest components of word frequencies
        (TF-IDF and a singular value decomposition); or these and the largest components of sentence
        embeddings.
    n_components : int
        How many components.
    model : str, optional
        Folder of a sentence-embedding model on this machine; nothing is downloaded.

    Returns
    -------
    ndarray of shape (n, p)
        Each column with mean zero and standard deviation one, or constant.

    Raises
    ------
    InvalidInputError
        If the folder is missing, or there are fewer components than ``n_components``.
    MissingDependencyError
        If ``sentence_transformers`` is not installed.
    """
    columns = [_statistics(texts)]
    if kind == "words":
        columns.append(_words(texts, n_components))
    elif kind == "embedding":
        columns.append(_components(_embedding(texts, model), n_components))
    found = np.hstack(columns)
    spread = found.std(axis=0)
    return np.asarray((found - found.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _statistics(texts: Sequence[str]) -> Array:
    rows = []
    for text in texts:
        n, words = max(len(text), 1), text.split()
        rows.append(
            (
                np.log1p(n),
                np.log1p(len(words)),
                n / max(len(words), 1),
                sum(map(str.isdigit, text)) / n,
                sum(map(str.isupper, text)) / n,
                len(re.findall(r"[^\w\s]", text)) / n,
                np.log1p(text.count("\n")),
                float("?" in text),
            )
        )
    return np.array(rows)


def _words(texts: Sequence[str], n_components: int) -> Array:
    from sklearn.feature_extraction.text import TfidfVectorizer

    frequencies = TfidfVectorizer(sublinear_tf=True, min_df=3, stop_words="english")
    return _components(frequencies.fit_transform(texts), n_components)


def _components(matrix: Any, n_components: int) -> Array:
    from sklearn.decomposition import TruncatedSVD

    width = matrix.shape[1]
    if n_components > width:
        raise InvalidInputError(
            f"problem.n_components: got {n_components}, expected at most {width}, the width of "
            "what the components are taken of"
        )
    return np.asarray(TruncatedSVD(n_components, random_state=0).fit_transform(matrix))


def _embedding(texts: Sequence[str], model: str | None) -> Array:
    if model is None or not Path(model).is_dir():
        raise InvalidInputError(
            f"problem.embedding_model: got {model!r}, expected the folder of a sentence-embedding "
            "model on this machine"
        )
    try:
        from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingDependencyError(
            "features 'embedding' need sentence-transformers; install it with: "
            "pip install sentence-transformers"
        ) from error
    encoder = SentenceTransformer(model, local_files_only=True)
    return np.asarray(encoder.encode(list(texts), show_progress_bar=False), dtype=float)
