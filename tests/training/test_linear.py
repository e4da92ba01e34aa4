"""Compiled epochs of a linear predictor do what autograd does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from dfl import Target, make_loss
from dfl.exceptions import InvalidInputError, TrainingError
from dfl.losses import WeightedSumLoss
from dfl.training import (
    Checkpoint,
    SharedOverItems,
    StopTraining,
    TableSource,
    make_optimizer,
    train,
)
from dfl.training.linear import LinearEpoch
from dfl_solvers import Ball, Box, GridShortestPath, LinearProgram, Maximize, Program, TopK

N, P = 70, 3


def table(oracle, seed: int = 0, *, d: int | None = None, dtype=torch.float64, **more):
    generator = torch.Generator().manual_seed(seed)
    d = d or oracle.n_costs
    X = torch.randn(N, P, generator=generator, dtype=dtype)
    C = torch.exp(X @ torch.randn(P, d, generator=generator, dtype=dtype))
    return TableSource(X, Target(costs=C, instance=more.get("instance")), 16, more.get("weights"))


def fitted(
    oracle,
    source,
    *,
    compiled: bool,
    loss="spo+",
    shared=False,
    decay=None,
    closed=False,
    **settings,
):
    """Train from fixed weights, by compiled code or by autograd.

    A layer within a Sequential is no plain linear layer; a sum of losses has no closed form.
    """
    outputs = 1 if shared else source.target.costs.shape[1]
    layer = torch.nn.Linear(P, outputs, dtype=source.inputs.dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, layer.weight.numel()).reshape(outputs, P))
        layer.bias.fill_(0.5)
    model = layer if compiled else torch.nn.Sequential(layer)
    if shared:
        model = SharedOverItems(model)
    held = make_loss(loss, oracle)
    if not compiled and not closed:
        held = WeightedSumLoss([held], [1.0])
    optimizer = make_optimizer(settings.pop("optimizer", "adam"), model, 0.02)
    if decay is not None:
        optimizer.param_groups[0]["weight_decay"] = decay
    assert (LinearEpoch.of(model, held, source, optimizer) is not None) == compiled
    result = train(model, held, source, optimizer=optimizer, **{"max_iter": 6, **settings})
    return layer, optimizer, result


def test_autograd_may_start_at_the_output() -> None:
    oracle = Maximize(TopK(5, 2))
    source = table(oracle, weights=torch.arange(N, dtype=torch.float64))
    for loss in ("spo+", "squared"):
        (a, _, first), (b, _, second) = (
            fitted(oracle, source, compiled=False, closed=closed, loss=loss)
            for closed in (True, False)
        )
        torch.testing.assert_close(a.weight, b.weight, rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            [e["loss"] for e in first.history], [e["loss"] for e in second.history], rtol=1e-9
        )


def check_equal(oracle, source, tol: float = 1e-9, **settings) -> None:
    (a, one, first), (b, two, second) = (
        fitted(oracle, source, compiled=compiled, **settings) for compiled in (True, False)
    )
    torch.testing.assert_close(a.weight, b.weight, rtol=0, atol=tol)
    torch.testing.assert_close(a.bias, b.bias, rtol=0, atol=tol)
    np.testing.assert_allclose(
        [entry["loss"] for entry in first.history],
        [entry["loss"] for entry in second.history],
        rtol=1e3 * tol,
        atol=tol,
    )
    assert [e["learning_rate"] for e in first.history] == [
        e["learning_rate"] for e in second.history
    ]
    assert first.best_epoch == second.best_epoch
    for p, q in ((a.weight, b.weight), (a.bias, b.bias)):
        assert one.state[p].keys() == two.state[q].keys()
        for name, value in one.state[p].items():
            torch.testing.assert_close(value, two.state[q][name], rtol=1e3 * tol, atol=tol)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("decay", [None, 0.0, 0.3])
@pytest.mark.parametrize("loss", ["spo+", "squared"])
def test_every_optimizer_with_and_without_weight_decay(optimizer, decay, loss) -> None:
    oracle = GridShortestPath(3, 3)
    check_equal(oracle, table(oracle), optimizer=optimizer, decay=decay, loss=loss)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_schedules_and_early_stopping(schedule: str) -> None:
    oracle = GridShortestPath(3, 3)
    source = table(oracle)
    held = table(oracle, seed=1)
    squared = make_loss("squared", oracle)

    def monitor(model: torch.nn.Module) -> float:
        return float(squared(model(held.inputs), held.target))

    check_equal(
        oracle, source, schedule=schedule, monitor=monitor, patience=3, max_iter=25, loss="spo+"
    )


@pytest.mark.parametrize("loss", ["spo+", "squared"])
def test_values_instead_of_costs(loss: str) -> None:
    oracle = Maximize(TopK(5, 2))
    check_equal(oracle, table(oracle), loss=loss, optimizer="adamw")


@pytest.mark.parametrize("loss", ["spo+", "squared"])
def test_weights(loss: str) -> None:
    oracle = TopK(5, 2)
    weights = torch.arange(N, dtype=torch.float64)
    check_equal(oracle, table(oracle, weights=weights), loss=loss)


def test_objectives_with_a_part_of_their_own() -> None:
    rng = np.random.default_rng(0)
    program = Program(
        np.ones((1, 6)), [2], [2], np.zeros(6), np.ones(6), fixed_costs=rng.normal(size=6)
    )
    oracle = LinearProgram(program)
    check_equal(oracle, table(oracle))


def test_instance_data() -> None:
    oracle = TopK(None, 2)
    mask = np.random.default_rng(0).random((N, 7)) < 0.7
    mask[:, :2] = True
    for loss in ("spo+", "squared"):
        check_equal(oracle, table(oracle, d=7, instance={"mask": mask}), loss=loss)


@pytest.mark.parametrize("loss", ["spo+", "squared"])
@pytest.mark.parametrize("masked", [False, True])
def test_one_predictor_for_all_items(loss: str, masked: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(N, 6, P, generator=generator, dtype=torch.float64)
    C = torch.exp(X @ torch.randn(P, generator=generator, dtype=torch.float64))
    instance = None
    if masked:
        mask = np.random.default_rng(0).random((N, 6)) < 0.7
        mask[:, :2] = True
        instance = {"mask": mask}
        X[~torch.from_numpy(mask)] = 0
        C[~torch.from_numpy(mask)] = 0
    weights = torch.linspace(0.5, 2, N, dtype=torch.float64)
    source = TableSource(X, Target(costs=C, instance=instance), 16, weights)
    # the slope of the intercept is zero up to rounding, which Adam makes larger
    check_equal(TopK(None, 2), source, tol=1e-7, shared=True, loss=loss)


def test_single_precision() -> None:
    oracle = GridShortestPath(3, 3)
    check_equal(oracle, table(oracle, dtype=torch.float32), tol=1e-4, max_iter=2)


def test_a_table_gathered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    import dfl.training._drawn_table as module

    oracle = TopK(5, 2)
    weights = torch.arange(N, dtype=torch.float64)
    for size in (1, 3000, 5000, 1 << 20):
        monkeypatch.setattr(module, "_GATHERED", size)
        check_equal(oracle, table(oracle, weights=weights))


def test_what_needs_autograd_gets_it() -> None:
    oracle = TopK(5, 2)
    source, loss = table(oracle), make_loss("spo+", oracle)

    def chosen(model, loss=loss, source=source, optimizer=None, change=None) -> bool:
        optimizer = optimizer or torch.optim.Adam(model.parameters())
        return LinearEpoch.of(model, loss, source, optimizer) is not None

    def linear(**settings) -> torch.nn.Linear:
        return torch.nn.Linear(P, 5, **{"dtype": torch.float64, **settings})

    assert chosen(linear())
    assert not chosen(linear(bias=False))
    assert not chosen(linear(dtype=torch.float32))
    assert not chosen(torch.nn.Linear(P, 4, dtype=torch.float64))
    assert not chosen(torch.nn.Linear(P + 1, 5, dtype=torch.float64))
    assert not chosen(torch.nn.Sequential(linear()))
    assert not chosen(SharedOverItems(linear()))
    assert not chosen(linear(), loss=make_loss("perturbed-fenchel-young", oracle))
    assert not chosen(linear(), source=object())
    layer = linear()
    assert not chosen(layer, optimizer=torch.optim.Adam(layer.parameters(), amsgrad=True))
    assert not chosen(layer, optimizer=torch.optim.SGD(layer.parameters(), lr=1, momentum=0.9))
    assert not chosen(layer, optimizer=torch.optim.RMSprop(layer.parameters()))
    assert not chosen(layer, optimizer=torch.optim.Adam([layer.weight]))
    layer.register_forward_hook(lambda *_: None)
    assert not chosen(layer)
    frozen = linear()
    optimizer = torch.optim.Adam(frozen.parameters())
    frozen.bias.requires_grad_(False)
    assert not chosen(frozen, optimizer=optimizer)
    normed = torch.nn.utils.parametrizations.weight_norm(linear())
    assert not chosen(normed)


def test_the_closed_forms_are_the_gradients_of_their_losses() -> None:
    from dfl.losses.closed_form import ClosedForm, Truth
    from dfl.losses.registry import LOSSES

    generator = torch.Generator().manual_seed(1)
    found = 0
    for name, leaf in LOSSES.items():
        if "samples" in leaf.requires:
            continue
        oracle = Ball(5) if "derivative" in leaf.requires else TopK(5, 2)
        source = table(oracle)
        loss = make_loss(name, oracle)
        if not isinstance(loss, ClosedForm):
            continue
        found += 1
        output = torch.randn(N, 5, dtype=torch.float64, generator=generator, requires_grad=True)
        expected = loss(output, source.target, reduction="none")
        (slope,) = torch.autograd.grad(expected.sum(), output)
        truth = Truth.of(loss, source.target)
        values, gradient = loss.value_and_gradient(output.detach().numpy().copy(), truth)
        np.testing.assert_allclose(values, expected.detach(), atol=1e-12)
        np.testing.assert_allclose(gradient, slope, atol=1e-12)
    assert found >= 3


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("loss", "rate"), [("spo+", 1e308), ("squared", 1e150)])
def test_divergence_is_named(loss: str, rate: float, compiled: bool) -> None:
    oracle = GridShortestPath(3, 3)
    layer = torch.nn.Linear(P, 12, dtype=torch.float64)
    model = layer if compiled else torch.nn.Sequential(layer)
    held, source = make_loss(loss, oracle), table(oracle)
    with pytest.raises(TrainingError, match=r"epoch .*smaller learning_rate"):
        train(model, held, source, optimizer="sgd", learning_rate=rate)


class Fails:
    """An oracle that fails at its k-th call."""

    n_costs = 5

    def __init__(self, k: int, error: type[Exception]) -> None:
        self.oracle, self.left, self.error = TopK(5, 2), k, error

    def solve(self, costs, instance=None):
        self.left -= 1
        if self.left == 0:
            raise self.error("here")
        return self.oracle.solve(costs, instance)

    def evaluate(self, costs, decisions, instance=None):
        return self.oracle.evaluate(costs, decisions, instance)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_broken_run_resumes_to_the_same_weights(
    compiled: bool, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    module = importlib.import_module("dfl.training.train")
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    source = table(TopK(5, 2))
    settings = {"optimizer": optimizer, "schedule": "cosine", "seed": 5, "compiled": compiled}
    whole, _, expected = fitted(TopK(5, 2), source, **settings)
    file = Checkpoint(tmp_path / "run.safetensors", "same")
    # in the middle of an epoch; autograd solves the labels of each batch as well
    with pytest.raises(InvalidInputError, match="here"):
        fitted(Fails(18, InvalidInputError), source, checkpoint=file, **settings)
    assert len(file.load()[1]["history"]) == (3 if compiled else 1)
    again, _, result = fitted(TopK(5, 2), source, checkpoint=file, **settings)
    assert torch.equal(again.weight, whole.weight)
    assert torch.equal(again.bias, whole.bias)
    assert [e["loss"] for e in result.history] == [e["loss"] for e in expected.history]


_SCRIPT = """
import importlib, os, signal, sys
import torch
from dfl import DecisionFocusedRegressor
from dfl.datasets import make_shortest_path
from dfl_solvers import GridShortestPath

importlib.import_module("dfl.training.train")._SECONDS_BETWEEN_CHECKPOINTS = 0.0
path, kind, end = sys.argv[1:]
data = make_shortest_path(120, grid=(4, 4), degree=4, noise=0.5, random_state=0)


class Mortal:  # an oracle of one's own, whose name for itself is another one in every process
    n_costs = 24
    calls = 0

    def __init__(self):
        self.oracle = GridShortestPath(4, 4)

    def solve(self, costs, instance=None):
        if len(costs) == 12:  # a batch of training: in how many calls labels are solved depends on
            Mortal.calls += 1  # how long that takes
            if Mortal.calls == int(end):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.oracle.solve(costs, instance)

    def evaluate(self, costs, decisions, instance=None):
        return self.oracle.evaluate(costs, decisions, instance)


predictor = "linear"
if kind == "torch":
    torch.manual_seed(0)
    predictor = torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 24)
    )
    torch.manual_seed(os.getpid())  # what the process draws by itself is no part of the fit
model = DecisionFocusedRegressor(
    Mortal(), predictor=predictor, max_iter=12, batch_size=12, random_state=3,
    checkpoint=path or None,
)
print(model.fit(data.X, data.C).predict(data.X[:5]).tobytes().hex(), len(model.history_))
print(Mortal.calls, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("kind", ["compiled", "torch"])
def test_a_fit_killed_within_an_epoch_resumes_to_the_same_weights(
    kind: str, tmp_path: Path
) -> None:
    def run(path: str, end: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _SCRIPT, path, kind, str(end)]
        folders = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": folders}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    whole = run("", 0)
    assert whole.returncode == 0, whole.stderr
    assert int(whole.stderr.split()[-1]) == 8 * 12
    path = tmp_path / "fit.safetensors"
    assert run(str(path), 8 * 5 + 4).returncode == -signal.SIGKILL  # in the 6th epoch
    assert len(_epochs(path)) == 5
    resumed = run(str(path), 0)
    assert resumed.stdout == whole.stdout != ""
    assert int(resumed.stderr.split()[-1]) == 8 * 7  # nothing was trained again


def _epochs(path: Path) -> list[dict[str, float]]:
    """Return the history that a checkpoint holds."""
    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()["values"])["history"]


@pytest.mark.parametrize("compiled", [True, False])
def test_training_can_be_stopped_from_anywhere(compiled: bool) -> None:
    source = table(TopK(5, 2))
    _, _, result = fitted(Fails(13, StopTraining), source, compiled=compiled)
    # the labels are solved in each batch by autograd, and once by compiled code
    assert len(result.history) == (2 if compiled else 1)
    seen = []

    def callback(entry: dict[str, float]) -> bool:
        seen.append(entry["epoch"])
        entry["mine"] = 1.0
        return entry["epoch"] == 3

    _, _, result = fitted(TopK(5, 2), source, compiled=compiled, callbacks=[callback])
    assert seen == [1, 2, 3]
    assert [entry["mine"] for entry in result.history] == [1.0] * 3


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("loss", ["spo+", "squared"])
def test_a_weight_of_two_is_a_row_twice(compiled: bool, loss: str) -> None:
    oracle = TopK(5, 2)
    source = table(oracle)
    twice = torch.cat([torch.arange(N), torch.arange(10)])
    doubled = TableSource(source.inputs[twice], source.target.rows(twice), batch_size=N + 10)
    weights = torch.ones(N, dtype=torch.float64)
    weights[:10] = 2
    weighted = TableSource(source.inputs, source.target, N, weights)
    (a, _, first), (b, _, second) = (
        fitted(oracle, rows, compiled=compiled, loss=loss) for rows in (doubled, weighted)
    )
    torch.testing.assert_close(a.weight, b.weight, rtol=0, atol=1e-9)
    assert first.history[-1]["loss"] == pytest.approx(second.history[-1]["loss"])
    # weights that are all alike change nothing
    alike = TableSource(source.inputs, source.target, 16, torch.full((N,), 7.0))
    c, _, _ = fitted(oracle, source, compiled=compiled, loss=loss)
    d, _, _ = fitted(oracle, alike, compiled=compiled, loss=loss)
    torch.testing.assert_close(c.weight, d.weight, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (torch.ones(3), r"shape \(3,\), expected \(70,\)"),
        (-torch.ones(N), "weight -1.0 at row 0"),
        (torch.full((N,), float("nan")), "weight nan at row 0"),
        (torch.zeros(N), "all zero"),
    ],
    ids=["shape", "negative", "nan", "zero"],
)
def test_wrong_weights_are_named(weights, words: str) -> None:
    source = table(Box(4), d=4)
    with pytest.raises(InvalidInputError, match=words):
        TableSource(source.inputs, source.target, 16, weights)
