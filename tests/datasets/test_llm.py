"""Outcomes of language models: what is read, what is left out, what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest

from dfl.datasets import fetch_llm_preferences, fetch_llm_routing
from dfl.datasets._llm_sources import PREFERENCE_SOURCES, ROUTING_SOURCES
from dfl.exceptions import InvalidInputError


@pytest.fixture
def folder(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFL_DATA", str(data_folder))
    return data_folder


def table(path: Path) -> list[list[str]]:
    text = gzip.decompress(path.read_bytes()).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def test_preferences(folder: Path) -> None:
    data = fetch_llm_preferences()
    assert data.preferences.shape == data.lengths.shape == (805, 17)
    assert ((data.preferences >= 0) & (data.preferences <= 1)).all()
    assert (data.preferences[:, data.models.index("gpt4_1106_preview")] == 0.5).all()
    counts = {kind: int((data.kinds == kind).sum()) for kind in np.unique(data.kinds)}
    assert counts == {
        "helpful_base": 129,
        "koala": 156,
        "oasst": 188,
        "selfinstruct": 252,
        "vicuna": 80,
    }
    row = list(data.instructions).index("How did US states get their names?")
    model = data.models.index("claude-2")
    assert (data.preferences[row, model], data.lengths[row, model]) == (2e-6, 1050)


def test_routing_leaves_the_flawed_subject_out(folder: Path) -> None:
    data = fetch_llm_routing()
    assert data.correct.shape == (15361 - 270, 2)
    assert "mmlu/high_school_mathematics" not in data.tasks
    assert len(np.unique(data.tasks)) == 57
    assert set(np.unique(data.correct)) == {0.0, 1.0}
    whole = fetch_llm_routing(include_flawed=True)
    np.testing.assert_allclose(whole.correct.mean(0), [0.677, 0.810], atol=5e-4)
    flawed = whole.correct[whole.tasks == "mmlu/high_school_mathematics"].mean(0)
    np.testing.assert_allclose(flawed, [0.319, 0.030], atol=5e-4)
    assert data.prices.shape == (2, 2)
    assert len(data.prompts) == len(data.tasks) == len(data.correct)


@pytest.mark.parametrize("fetch", [fetch_llm_preferences, fetch_llm_routing])
def test_damaged_tables_are_refused(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetch
) -> None:
    monkeypatch.setenv("DFL_DATA", str(tmp_path))
    name = f"{fetch.__name__.removeprefix('fetch_')}.csv.gz"
    with pytest.raises(InvalidInputError, match=f"has no file {name}"):
        fetch()
    whole = (data_folder / name).read_bytes()
    for content in (whole[:1000], b"", b"no archive", whole[:500] + b"\xff" * 40 + whole[540:]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match="restore the original file"):
            fetch()
    changed = gzip.decompress(whole).replace(b",1,", b",0,", 1)
    (tmp_path / name).write_bytes(gzip.compress(changed))
    with pytest.raises(InvalidInputError, match="damaged or was changed: got SHA-256"):
        fetch()


def published(data_folder: Path, name: str) -> dict[str, str]:
    """Take a joined table apart into the files that are published, in their form."""
    rows = table(data_folder / name)
    if name.startswith("llm_routing"):
        parts: dict[str, list[list[str]]] = {}
        for task, first, second, prompt in rows[1:]:
            answers = [str(value == "1") for value in (first, second)]
            parts.setdefault(task, []).append([prompt, *answers])
        texts = []
        for part in parts.values():
            buffer = io.StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            writer.writerow(["prompt", "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"])
            writer.writerows(part)
            texts.append(buffer.getvalue())
        return dict(zip(ROUTING_SOURCES, texts, strict=True))
    found = {}
    for j, url in enumerate(PREFERENCE_SOURCES):
        entries = [
            {
                "instruction": row[-1],
                "dataset": row[0],
                "preference": 1 + float(row[1 + j]),
                "output_2": "x" * int(row[1 + len(PREFERENCE_SOURCES) + j]),
            }
            for row in reversed(rows[1:])
        ]
        found[url] = json.dumps(entries)
    return found


@pytest.mark.parametrize("fetch", [fetch_llm_preferences, fetch_llm_routing])
def test_a_download_is_joined_checked_and_kept(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetch
) -> None:
    import pooch

    monkeypatch.delenv("DFL_DATA")
    name = f"{fetch.__name__.removeprefix('fetch_')}.csv.gz"
    with pytest.raises(InvalidInputError, match="download_if_missing is False"):
        fetch(data_home=tmp_path, download_if_missing=False)
    files = published(data_folder, name)
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        target = Path(path) / fname
        target.write_text(files[url], encoding="utf-8", newline="")
        return str(target)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    first = fetch(data_home=tmp_path)
    assert asked == list(files)
    again = fetch(data_home=tmp_path)
    assert asked == list(files)
    assert first.keys() == again.keys()
    assert table(tmp_path / name) == table(data_folder / name)

    (tmp_path / name).write_bytes(gzip.compress(b"else"))
    with pytest.raises(InvalidInputError, match="delete it"):
        fetch(data_home=tmp_path)
    (tmp_path / name).unlink()
    last = list(files)[-1]
    files[last] = files[last].replace("True", "False", 1).replace('"x', '"xx', 1)
    with pytest.raises(InvalidInputError, match="the files it is joined from have changed"):
        fetch(data_home=tmp_path)
    files[last] = '"'
    with pytest.raises(InvalidInputError):
        fetch(data_home=tmp_path)

    def failing(url, known_hash, fname, path):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(pooch, "retrieve", failing)
    with pytest.raises(InvalidInputError, match=r"cannot be downloaded: no route to host$"):
        fetch(data_home=tmp_path)
    assert not list(tmp_path.iterdir())
