"""Maps of terrain: what is drawn, what a network reads off it, and the published archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

import dfl
from dfl import DecisionFocusedRegressor, metrics
from dfl.datasets import fetch_warcraft_maps, make_terrain
from dfl.datasets import terrain as room
from dfl.estimators import GridConvolution
from dfl.exceptions import InvalidInputError
from dfl_solvers import FromCallable, NodeGridShortestPath


def templates(tile_size: int) -> np.ndarray:
    shown = room._COLORS[:, None, None] * (1 + room._textures(tile_size))[..., None]
    return shown.reshape(len(shown), -1)


@pytest.mark.parametrize("tile_size", [4, 8])
def test_a_picture_tells_its_terrain(tile_size: int) -> None:
    data = make_terrain(60, tile_size=tile_size, random_state=1)
    tiles = data.X.reshape(60, 12, tile_size, 12, tile_size, 3).swapaxes(2, 3).reshape(60 * 144, -1)
    known = templates(tile_size)
    light = np.clip(tiles @ known.T / (known**2).sum(axis=1), 0.8, 1.2)
    errors = ((tiles[:, None] - light[..., None] * known) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(errors.argmin(axis=1), data.terrain.ravel())
    # what is left is the grain of the pixels
    assert np.sqrt(errors.min(axis=1).mean() / tiles.shape[1]) < 0.05 / 3**0.5 * 1.02


def test_shares_and_costs_of_terrains() -> None:
    data = make_terrain(4000, tile_size=1, pixel_noise=0.0, random_state=0)
    shares = np.bincount(data.terrain.ravel(), minlength=5) / data.terrain.size
    water, sand = norm.cdf(-0.8), norm.cdf(-0.35) - norm.cdf(-0.8)
    rock = norm.sf(0.85)
    rest = (1 - water - sand - rock) / 2
    np.testing.assert_allclose(shares, [water, sand, rest, rest, rock], atol=0.012)
    assert data.terrain_names == ["water", "sand", "grass", "forest", "rock"]
    np.testing.assert_array_equal(
        data.mean_costs, np.array([9.2, 0.8, 1.2, 5.3, 7.7])[data.terrain]
    )
    # neighbors are alike: far more often of the same kind than two cells drawn at random
    maps = data.terrain.reshape(-1, 12, 12)
    assert (maps[:, 1:] == maps[:, :-1]).mean() > 2 * (shares**2).sum()


@pytest.mark.parametrize("size", [12, 18, 24, 30])
def test_published_sizes_have_ways_through(size: int) -> None:
    data = make_terrain(3, size=size, tile_size=2, random_state=0)
    assert data.image_shape == (2 * size, 2 * size, 3)
    assert data.X.shape == (3, 12 * size**2)
    assert 0 <= data.X.min() < data.X.max() <= 1
    way = data.oracle.solve(data.C).decisions
    assert (way[:, 0] == 1).all()
    assert (way[:, -1] == 1).all()
    assert (way.sum(axis=1) >= size).all()


def test_a_network_learns_to_read_maps_and_decides_nearly_perfectly(tmp_path: Path) -> None:
    data = make_terrain(260, size=5, tile_size=4, random_state=0)
    train, test = slice(160), slice(160, None)
    network = GridConvolution(data.grid, data.image_shape, random_state=0)
    first = [p.clone() for p in network.parameters()]
    clipped = FromCallable(lambda c: data.oracle.solve(c.clip(0)[None]).decisions[0], 25)
    regrets = {}
    for loss, oracle in (("squared", data.oracle), ("spo+", clipped)):
        model = DecisionFocusedRegressor(oracle, loss, network, max_iter=12, random_state=0)
        model.fit(data.X[train], data.C[train])
        predicted = model.predict(data.X[test])
        assert (predicted > 0).all()
        regrets[loss] = metrics.normalized_regret(data.oracle, predicted, data.C[test])
    constant = metrics.normalized_regret(data.oracle, np.ones((100, 25)), data.C[test])
    assert constant > 0.15
    assert max(regrets.values()) < 0.03
    # the module given is copied, and its weights come back from a folder
    assert all(torch.equal(a, b) for a, b in zip(first, network.parameters(), strict=True))
    model = DecisionFocusedRegressor(data.oracle, "squared", network, max_iter=1, random_state=0)
    model.fit(data.X[train], data.C[train]).save(tmp_path / "model")
    again = dfl.load(tmp_path / "model", predictor=network)
    np.testing.assert_array_equal(again.predict(data.X[test]), model.predict(data.X[test]))


def test_a_network_reads_each_cell_where_it_is() -> None:
    network = GridConvolution((3, 4), (12, 16, 3), random_state=0).eval()
    assert [tuple(p.shape) for p in network.parameters()] == [
        tuple(p.shape) for p in GridConvolution((3, 4), (12, 16, 3), random_state=1).parameters()
    ]
    image = torch.zeros(1, 12, 16, 3)
    with torch.no_grad():
        plain = network(image.reshape(1, -1))
        # without anything to see, costs are one
        np.testing.assert_allclose(plain, 1.0, rtol=1e-6)
        image[0, 9:11, 13:15] = 5.0  # inside the last cell
        changed = (network(image.reshape(1, -1)) - plain).abs().reshape(3, 4)
    assert changed[2, 3] > 0
    assert (changed[0] == 0).all()
    assert (changed[:, :2] == 0).all()
    same = GridConvolution((3, 4), (12, 16, 3), random_state=0)
    for a, b in zip(network.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((3, 3), (5, 6, 3)), "two pixels a cell"),
        (((0, 3), (6, 6, 3)), r"grid=\(0, 3\)"),
        (((3, 3), (6, 6, 3), 0), "n_channels=0"),
    ],
)
def test_networks_that_cannot_be_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        GridConvolution(*arguments)


def test_a_network_of_another_image_is_refused_by_name() -> None:
    data = make_terrain(12, size=4, tile_size=4, random_state=0)
    for grid, image, words in [
        ((4, 4), (8, 8, 3), "GridConvolution fails on features"),
        ((2, 4), (16, 16, 3), r"gives output of shape \(2, 8\)"),
    ]:
        model = DecisionFocusedRegressor(data.oracle, "squared", GridConvolution(grid, image))
        with pytest.raises(InvalidInputError, match=words):
            model.fit(data.X, data.C)


def archive(folder: Path, n: int = 5, size: int = 12, subset: str = "train") -> dict:
    """Write maps as the archive has them."""
    rng = np.random.default_rng(0)
    folder = folder / "warcraft_shortest_path_oneskin" / f"{size}x{size}"
    folder.mkdir(parents=True, exist_ok=True)
    costs = rng.choice([0.8, 1.2, 5.3, 7.7, 9.2], size=(n, size, size)).astype(np.float16)
    flat = costs.reshape(n, -1).astype(float)
    paths = NodeGridShortestPath(size, size).solve(flat).decisions.reshape(costs.shape)
    parts = {
        "maps": rng.integers(256, size=(n, 8 * size, 8 * size, 3), dtype=np.uint8),
        "vertex_weights": costs,
        "shortest_paths": paths.astype(np.uint8),
    }
    for name, values in parts.items():
        np.save(folder / f"{subset}_{name}.npy", values)
    return {"folder": folder, **parts}


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_the_archive_is_read_as_published(tmp_path: Path, subset: str) -> None:
    wrote = archive(tmp_path, subset=subset)
    for path in (tmp_path, wrote["folder"].parent, str(wrote["folder"])):
        data = fetch_warcraft_maps(path, subset=subset)
        assert data.image_shape == (96, 96, 3)
        np.testing.assert_array_equal(data.X.reshape(5, 96, 96, 3), wrote["maps"])
        np.testing.assert_array_equal(data.C, wrote["vertex_weights"].reshape(5, 144))
        assert data.C.dtype == np.float64
        np.testing.assert_array_equal(data.decisions, data.oracle.solve(data.C).decisions)
        assert "mean_costs" not in data
    network = GridConvolution(data.grid, data.image_shape, 4, random_state=0)
    model = DecisionFocusedRegressor(data.oracle, "squared", network, max_iter=1, random_state=0)
    assert model.fit(data.X, data.C).decide(data.X).shape == (5, 144)


def test_divided_files_are_put_together(tmp_path: Path) -> None:
    wrote = archive(tmp_path, n=5, size=18)
    folder = wrote["folder"]
    for name in ("maps", "vertex_weights"):
        (folder / f"train_{name}.npy").unlink()
        for number, part in enumerate(np.split(wrote[name], [2, 3])):
            np.save(folder / f"train_{name}_part{number}.npy", part)
    data = fetch_warcraft_maps(tmp_path, size=18)
    np.testing.assert_array_equal(data.C, wrote["vertex_weights"].reshape(5, -1))
    np.testing.assert_array_equal(data.X.reshape(wrote["maps"].shape), wrote["maps"])
    np.save(folder / "train_maps_part1.npy", np.zeros((1, 7)))
    with pytest.raises(InvalidInputError, match=r"parts of .*train_maps.npy do not fit together"):
        fetch_warcraft_maps(tmp_path, size=18)


def test_what_is_not_the_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no file .*train_maps\.npy; download .*YJCQ5S"):
        fetch_warcraft_maps(tmp_path)
    wrote = archive(tmp_path)
    folder = wrote["folder"]
    with pytest.raises(InvalidInputError, match=r"no file .*val_maps"):
        fetch_warcraft_maps(tmp_path, subset="val")
    with pytest.raises(InvalidInputError, match="size=13, expected 12, 18, 24 or 30"):
        fetch_warcraft_maps(tmp_path, size=13)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="subset='all'"):
        fetch_warcraft_maps(tmp_path, subset="all")  # type: ignore[arg-type]
    costs = folder / "train_vertex_weights.npy"
    whole = costs.read_bytes()
    for content in (whole[:-3], b"", b"not an array", whole[:40]):
        costs.write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"weights\.npy cannot be read: .*unpack"):
            fetch_warcraft_maps(tmp_path)
    np.save(costs, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInputError, match=r"weights\.npy cannot be read: .*allow_pickle"):
        fetch_warcraft_maps(tmp_path)
    np.save(costs, wrote["vertex_weights"][:, :5])
    with pytest.raises(InvalidInputError, match=r"shape \(5, 5, 12\), expected \(5, 12, 12\)"):
        fetch_warcraft_maps(tmp_path)
    np.save(costs, -wrote["vertex_weights"])
    with pytest.raises(InvalidInputError, match="expected costs above 0 and paths of zeros"):
        fetch_warcraft_maps(tmp_path)
    np.save(costs, wrote["vertex_weights"])
    np.save(folder / "train_shortest_paths.npy", 2 * wrote["shortest_paths"])
    with pytest.raises(InvalidInputError, match="paths of zeros and ones"):
        fetch_warcraft_maps(tmp_path)
    for name in ("maps", "vertex_weights", "shortest_paths"):
        np.save(folder / f"train_{name}.npy", wrote[name][:0])
    with pytest.raises(InvalidInputError, match="holds an array of shape"):
        fetch_warcraft_maps(tmp_path)
