"""Pictures of terrain, for shortest paths whose costs are to be read off an image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_noise, check_sizes, generator
from dfl.exceptions import InvalidInputError
from dfl_solvers import NodeGridShortestPath
from dfl_solvers.oracle import Array

_NAMES = ("water", "sand", "grass", "forest", "rock")
_COSTS = np.array([9.2, 0.8, 1.2, 5.3, 7.7])
_COLORS = np.array(
    [
        [0.16, 0.30, 0.55],
        [0.72, 0.62, 0.40],
        [0.35, 0.52, 0.22],
        [0.20, 0.38, 0.16],
        [0.45, 0.42, 0.40],
    ]
)
# how much the texture of a terrain lightens and darkens it
_CONTRAST = np.array([0.08, 0.06, 0.10, 0.22, 0.20])
# heights, in standard deviations, below which there is water, sand, and no rock yet
_WATER, _SAND, _ROCK = -0.8, -0.35, 0.85
_ARCHIVE = "https://doi.org/10.17617/3.YJCQ5S"
_PARTS = ("maps", "vertex_weights", "shortest_paths")


def make_terrain(
    n_samples: int,
    *,
    size: int = 12,
    tile_size: int = 8,
    noise: float = 0.0,
    pixel_noise: float = 0.05,
    random_state: Any = None,
) -> Bunch:
    """Make pictures of terrain and the costs of crossing it, for shortest paths between corners.

    The Warcraft problem with drawn pictures in place of those of the game: what a cell costs has to
    be read off an image, so predictors are convolutional (``dfl.estimators.GridConvolution``).

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    size : int, default=12
        Cells down and across, at least 2; published are 12, 18, 24 and 30.
    tile_size : int, default=8
        Pixels down and across of the picture of a cell.
    noise : float, default=0.0
        Half-width of the multiplicative uniform noise on the costs; at most 1.
    pixel_noise : float, default=0.05
        Half-width of the additive uniform noise on the pixels; at most 1.
    random_state : int, Generator or None
        Colors, textures and costs of terrains are always the same, so other seeds show other places
        of one world. The first maps do not depend on how many are made.

    Returns
    -------
    Bunch
        ``X`` (n, (size * tile_size)^2 * 3) = red, green and blue from 0 to 1, pixel by pixel, row
        by row; ``C`` (n, size^2), ``mean_costs`` (n, size^2) = E[c | terrain], ``terrain``
        (n, size^2) = positions in ``terrain_names``, ``image_shape`` = (height, width, 3), ``grid``
        = (size, size), ``oracle`` (a ``NodeGridShortestPath``), ``feature_names`` and
        ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size or a noise is out of its range, or the random state is none.

    Notes
    -----
    Height and moisture are white noise on the cells, smoothed, of variance one. Cells below a
    height are water, those a little above it sand, high ones rock, and of the others the moist ones
    forest and the rest grass. They cost 9.2, 0.8, 7.7, 5.3 and 1.2, within the range of the game's.
    A pixel is the color of its cell's terrain, times the light of the map (uniform on [0.8, 1.2]),
    times one plus the terrain's texture, plus noise, cut off at 0 and 1. Given the terrain, costs
    do not depend on the picture. With tiles of four pixels or more and pixel noise up to the
    default, the picture tells the terrain, and the mean costs are what the best reader of pictures
    predicts.

    References
    ----------
    Vlastelica et al., "Differentiation of Blackbox Combinatorial Solvers", ICLR 2020,
    arXiv 1912.02175, for the problem.

    Examples
    --------
    >>> from dfl.datasets import make_terrain
    >>> data = make_terrain(4, size=6, tile_size=4, random_state=0)
    >>> data.X.shape, data.C.shape, data.image_shape
    ((4, 1728), (4, 36), (24, 24, 3))
    """
    check_sizes({"n_samples": n_samples, "size": size, "tile_size": tile_size}, noise)
    check_noise(noise, most=1)
    check_noise(pixel_noise, "pixel_noise", most=1)
    if size < 2:
        raise InvalidInputError(f"got size={size}, expected an integer of at least 2")
    # a stream for each thing drawn, so that maps do not depend on how many follow
    seeds = generator(random_state).integers(2**63, size=4)
    fields, lights, factors, grain = (np.random.default_rng(seed) for seed in seeds)
    height, moisture = _smooth(fields.normal(size=(n_samples, 2, size, size))).swapaxes(0, 1)
    terrain = np.select(
        [height < _WATER, height < _SAND, height > _ROCK, moisture > 0], [0, 1, 4, 3], 2
    )
    pixels = size * tile_size
    light = lights.uniform(0.8, 1.2, size=(n_samples, 1, 1, 1))
    shown = terrain.repeat(tile_size, axis=1).repeat(tile_size, axis=2)
    texture = np.tile(_textures(tile_size), (1, size, size))
    rows, cols = np.indices((pixels, pixels))
    X = _COLORS[shown] * light * (1 + texture[shown, rows, cols])[..., None]
    if pixel_noise:
        X += grain.uniform(-pixel_noise, pixel_noise, size=X.shape)
    terrain = terrain.reshape(n_samples, -1)
    mean_costs = _COSTS[terrain]
    C = mean_costs * factors.uniform(1 - noise, 1 + noise, size=mean_costs.shape)
    data = bundle(
        np.clip(X, 0, 1).reshape(n_samples, -1), C, mean_costs, NodeGridShortestPath(size, size)
    )
    data.terrain = terrain
    data.terrain_names = list(_NAMES)
    data.image_shape = (pixels, pixels, 3)
    data.grid = (size, size)
    return data


def fetch_warcraft_maps(
    path: str | os.PathLike[str],
    *,
    size: Literal[12, 18, 24, 30] = 12,
    subset: Literal["train", "val", "test"] = "train",
) -> Bunch:
    """Read the published maps of the game Warcraft II from a folder.

    The archive has some hundred megabytes and is not downloaded for you; ``make_terrain`` draws
    maps of the kind.

    Parameters
    ----------
    path : path
        The folder ``warcraft_shortest_path_oneskin`` of the archive ``warcraft_maps.tar.gz``,
        unpacked, or the one that holds it.
    size : {12, 18, 24, 30}, default=12
        Cells down and across.
    subset : {"train", "val", "test"}, default="train"
        The published split.

    Returns
    -------
    Bunch
        ``X`` (n, (8 size)^2 * 3) = red, green and blue from 0 to 255 as small integers, pixel by
        pixel, row by row; ``C`` (n, size^2), ``decisions`` (n, size^2) = the published shortest
        paths, ``image_shape``, ``grid``, ``oracle`` (a ``NodeGridShortestPath``), ``feature_names``
        and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a file is missing, damaged or of another shape.

    See Also
    --------
    make_terrain : Maps that are drawn.

    Notes
    -----
    Read are ``12x12/train_maps.npy`` (n, 96, 96, 3), ``12x12/train_vertex_weights.npy`` (n, 12, 12)
    and ``12x12/train_shortest_paths.npy`` (n, 12, 12), and likewise for others; where they are
    divided, ``train_maps_part0.npy`` and so on. Files that hold pickled objects are refused.

    References
    ----------
    Vlastelica et al., "Differentiation of Blackbox Combinatorial Solvers", ICLR 2020,
    arXiv 1912.02175; data: doi 10.17617/3.YJCQ5S.
    """
    if size not in (12, 18, 24, 30):
        raise InvalidInputError(f"got size={size!r}, expected 12, 18, 24 or 30")
    if subset not in ("train", "val", "test"):
        raise InvalidInputError(f"got subset={subset!r}, expected 'train', 'val' or 'test'")
    folder = Path(path)
    for inner in ("warcraft_shortest_path_oneskin", f"{size}x{size}"):
        folder = folder / inner if (folder / inner).is_dir() else folder
    images, costs, paths = (_read(folder, f"{subset}_{part}") for part in _PARTS)
    n = len(images)
    shapes = ((n, 8 * size, 8 * size, 3), (n, size, size), (n, size, size))
    for part, found, shape in zip(_PARTS, (images, costs, paths), shapes, strict=True):
        if found.shape != shape or not len(found):
            raise InvalidInputError(
                f"{folder / f'{subset}_{part}.npy'} holds an array of shape {found.shape}, "
                f"expected {shape} for maps of {size} x {size} cells"
            )
    C = costs.reshape(n, -1).astype(float)
    if not (np.isfinite(C).all() and (C > 0).all()) or not np.isin(paths, (0, 1)).all():
        raise InvalidInputError(
            f"{folder}: expected costs above 0 and paths of zeros and ones; unpack the archive of "
            f"{_ARCHIVE} again"
        )
    data = bundle(images.reshape(n, -1), C, C, NodeGridShortestPath(size, size))
    del data["mean_costs"]  # each map is seen once
    data.decisions = paths.reshape(n, -1).astype(float)
    data.image_shape = shapes[0][1:]
    data.grid = (size, size)
    return data


def _smooth(white: Array) -> Array:
    """Smooth white noise (..., k, k) over the torus, and scale it to variance one."""
    impulse = np.zeros(white.shape[-2:])
    impulse[0, 0] = 1.0
    sigma = white.shape[-1] / 10
    kernel = gaussian_filter(impulse, sigma, mode="wrap")
    smooth = gaussian_filter(white, sigma, mode="wrap", axes=(-2, -1))
    return smooth / np.sqrt((kernel**2).sum())


def _textures(tile_size: int) -> Array:
    """Return the texture (kinds, tile_size, tile_size) of each terrain: of mean zero, and fixed."""
    grain = np.random.default_rng(0).uniform(-1, 1, size=(len(_NAMES), tile_size, tile_size))
    # a tile of one pixel has no texture
    grain -= grain.mean(axis=(1, 2), keepdims=True)
    return _CONTRAST[:, None, None] * grain


def _read(folder: Path, name: str) -> Array:
    """Return the array of a file, or of its parts one after the other."""
    whole = folder / f"{name}.npy"
    parts = [whole] if whole.is_file() else []
    while not whole.is_file() and (part := folder / f"{name}_part{len(parts)}.npy").is_file():
        parts.append(part)
    if not parts:
        raise InvalidInputError(
            f"there is no file {whole}; download warcraft_maps.tar.gz from {_ARCHIVE}, unpack it, "
            "and give the folder warcraft_shortest_path_oneskin"
        )
    arrays = []
    for part in parts:
        try:
            arrays.append(np.load(part, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise InvalidInputError(
                f"{part} cannot be read: {error}; unpack the archive of {_ARCHIVE} again"
            ) from error
    try:
        return np.concatenate(arrays)
    except ValueError as error:
        raise InvalidInputError(f"the parts of {whole} do not fit together: {error}") from error
