"""What all real data promise: nothing is downloaded unasked, and every failure names the file."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dfl import datasets
from dfl.exceptions import InvalidInputError

FETCH: dict[str, tuple[Callable[..., Any], str]] = {
    "fetch_energy_prices": (datasets.fetch_energy_prices, "icon_energy.zip"),
    "fetch_llm_preferences": (datasets.fetch_llm_preferences, "llm_preferences.csv.gz"),
    "fetch_llm_routing": (datasets.fetch_llm_routing, "llm_routing.csv.gz"),
    "fetch_price_knapsack": (datasets.fetch_price_knapsack, "predopt_knapsack.npz"),
    "fetch_scheduling_days": (datasets.fetch_scheduling_days, "icon_energy.zip"),
    "fetch_scheduling_instance": (
        partial(datasets.fetch_scheduling_instance, 2),
        "predopt_scheduling/load2.txt",
    ),
}
LOCAL = ("fetch_cora_matching", "fetch_warcraft_maps")
every = pytest.mark.parametrize("name", FETCH)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Take the network away; return the addresses that are asked for."""
    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        asked.append(arguments)
        raise OSError("the network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.delenv("DFL_DATA", raising=False)
    return asked


def test_no_real_data_are_left_out() -> None:
    found = {name for name in datasets.__all__ if name.startswith("fetch_")}
    # read from a folder, and never downloaded
    assert found == {*FETCH, *LOCAL}
    for name in LOCAL:
        assert "download" not in str(inspect.signature(getattr(datasets, name)))


def test_what_is_never_downloaded_says_where_it_is_from(tmp_path: Path, offline: list[Any]) -> None:
    with pytest.raises(InvalidInputError, match="cora"):
        datasets.fetch_cora_matching(data_home=tmp_path)
    with pytest.raises(InvalidInputError, match=r"download warcraft_maps.tar.gz from https://doi"):
        datasets.fetch_warcraft_maps(tmp_path)
    assert not offline


@every
def test_a_named_folder_is_never_filled_from_the_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: list[Any]
) -> None:
    fetch, file = FETCH[name]
    monkeypatch.setenv("DFL_DATA", str(tmp_path))
    with pytest.raises(InvalidInputError, match=f"has no file {file}; put it there, or unset"):
        fetch()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"other content")
    with pytest.raises(InvalidInputError, match=r"restore the original file") as caught:
        fetch()
    assert file in str(caught.value)
    assert not offline
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 1


@every
def test_nothing_is_downloaded_unasked(name: str, tmp_path: Path, offline: list[Any]) -> None:
    fetch, file = FETCH[name]
    with pytest.raises(InvalidInputError, match="download_if_missing is False") as caught:
        fetch(data_home=tmp_path, download_if_missing=False)
    assert str(tmp_path / file) in str(caught.value)
    assert not offline
    assert not list(tmp_path.iterdir())


@every
def test_without_a_network_the_error_names_file_and_reason(
    name: str, tmp_path: Path, offline: list[Any]
) -> None:
    fetch, file = FETCH[name]
    with pytest.raises(InvalidInputError, match="cannot be downloaded") as caught:
        fetch(data_home=tmp_path)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)
    assert offline
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@every
def test_what_is_cached_is_checked_by_its_hash(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_folder: Path
) -> None:
    fetch, file = FETCH[name]
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    whole = (data_folder / file).read_bytes()
    path.write_bytes(whole)
    fetch(data_home=tmp_path)  # from the cache, without the network
    path.write_bytes(whole[:-1])
    with pytest.raises(InvalidInputError, match="delete it, and it is downloaded again"):
        fetch(data_home=tmp_path)
