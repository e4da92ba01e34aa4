"""Robust control, cut down; and what its rules say of results that are known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfl_experiments.policies.robust_verdict import verdict


def test_a_cut_down_recipe_learns_and_judges_each_method(dfl: Callable, tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    pytest.importorskip("stable_baselines3")
    sizes = {"env_steps": 2048, "adversary_steps": 2048, "attack_steps": 1, "episodes": 4}
    changes = [f"--set=problem.{key}={value}" for key, value in sizes.items()]
    methods = (
        "[{name: ppo, algorithm: robust, configuration: ppo},"
        "{name: arpo+guidance, algorithm: robust, configuration: arpo+guidance,"
        " settings: [{kappa: 0.5}, {kappa: 2}]},"
        "{name: stable-baselines3, algorithm: peer-ppo}]"
    )
    code, _, err = dfl(
        "run", "robust-cartpole", "--out", "run", "--seeds", "0:2", "--n-jobs", "1", "--quiet",
        f"--set=methods={methods}", "--set=baselines=[ppo]", *changes,
    )  # fmt: skip
    assert code == 0, err
    with open(tmp_path / "run" / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    means = {(row["method"], row["score"]): float(row["mean"]) for row in rows}
    for name in ("ppo", "arpo+guidance"):
        attacks = ("random", "critic", "action-difference", "value", "learned", "natural")
        # means over two seeds of the least of each are at most the least of the means
        assert means[name, "worst"] <= min(means[name, attack] for attack in attacks) + 1e-6
    assert means["stable-baselines3", "natural"] > 9  # no pole falls sooner
    assert ("stable-baselines3", "worst") not in means
    with open(tmp_path / "run" / "spent.csv", newline="") as file:
        spent = {(r["method"], r["kind"]): float(r["mean"]) for r in csv.DictReader(file)}
    for name in ("ppo", "arpo+guidance", "stable-baselines3"):
        assert spent[name, "env_steps"] == 2048
    assert spent["ppo", "attack_gradients"] == 0
    with open(tmp_path / "run" / "trials.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


def table(arpo: tuple[float, float], barpo: tuple[float, float], spread: float = 1.0) -> dict:
    noise = spread * np.array([-1.0, 0.5, 0.0, -0.5, 1.0])
    ppo = {"natural": 100 + noise, "worst": 20 + noise, "random": 90 + noise}
    own = {
        name: {"natural": pair[0] + noise[::-1], "worst": pair[1] + noise[::-1]}
        for name, pair in (("arpo", arpo), ("barpo", barpo))
    }
    return {"ppo": ppo, **own}


def said(scores: dict, text: str) -> str:
    return next(line for line in verdict(scores, 0.0) if text in line)


def test_rules_claim_what_the_intervals_support_and_nothing_else() -> None:
    better = table((60, 50), (95, 52))
    assert "one to resolve" in said(better, "Tension")
    assert "arpo: supported" in said(better, "higher natural return")
    assert ": supported" in said(better, "worst attack, and better")
    assert "does not hold" in said(better, "falsifier")
    assert "stronger than noise" in said(better, "Attacks on ppo")
    assert "worst return: barpo 52.0, arpo 50.0, ppo 20.0" in said(better, "Order by worst")

    level = table((98, 60), (98, 60))
    assert "no tension on this task" in said(level, "Tension")
    assert not any("higher natural" in line for line in verdict(level, 0.0))
    assert "arpo matches barpo" in said(level, "falsifier holds")

    lost = table((60, 50), (60, 30))
    assert "not supported" in said(lost, "higher natural return")
    assert "not supported" in said(lost, "worst attack, and better")
    # the same means, but nothing can be said of so few and so different seeds
    loud = table((60, 50), (95, 52), spread=60.0)
    assert "not supported" in said(loud, "worst attack, and better")
    assert "it is open whether there is one" in said(loud, "Tension")
    loud["barpo"] = {k: v[::-1].copy() for k, v in loud["barpo"].items()}
    assert "undecided" in said(loud, "falsifier")
    assert "not supported" in said(loud, "higher natural return")

    weak = table((98, 60), (98, 60))
    weak["ppo"]["random"] = weak["ppo"]["worst"]
    assert "hardly stronger than noise" in said(weak, "Attacks on ppo")
    weak["stable-baselines3"] = {"natural": weak["ppo"]["natural"] - 1}
    assert "not worse, at a margin of 5.0" in said(weak, "Stable-Baselines3")
    weak["stable-baselines3"] = {"natural": weak["ppo"]["natural"] + 6}
    assert "not shown to be as good" in said(weak, "Stable-Baselines3")
