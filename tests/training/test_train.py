"""The loop: exactness of resuming, early stopping, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfl import Target, make_loss
from dfl.exceptions import InvalidInputError, TrainingError
from dfl.training import Checkpoint, TableSource, train
from dfl.training import train as train_function
from dfl_solvers import Box

OPTIMIZERS = ("adam", "adamw", "sgd")


def problem() -> tuple[torch.nn.Linear, TableSource]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator)
    costs = x @ torch.randn(3, 4, generator=generator)
    model = torch.nn.utils.skip_init(torch.nn.Linear, 3, 4)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    return model, TableSource(x, Target(costs=costs), batch_size=8)


def loss(name: str = "perturbed-fenchel-young"):
    return make_loss(name, Box(4))


def test_least_squares_is_found() -> None:
    model, source = problem()
    train(model, loss("squared"), source, max_iter=300, learning_rate=0.05, schedule="cosine")
    design = torch.cat([source.inputs, torch.ones(40, 1)], 1)
    exact = torch.linalg.lstsq(design, source.target.costs).solution
    torch.testing.assert_close(model.weight.data, exact[:3].T, atol=1e-3, rtol=0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_a_broken_run_resumes_to_the_same_weights(
    optimizer: str, schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_iter": 9, "optimizer": optimizer, "schedule": schedule, "seed": 5}

    def monitor(model: torch.nn.Module) -> float:
        return float(model.weight.norm() * 0 + abs(model.weight.sum() - 0.3))

    whole, source = problem()
    expected = train(whole, loss(), source, monitor=monitor, **settings)

    class Killed(Exception):
        pass

    class Breaking:
        calls = 0

        def batches(self, model, generator):
            Breaking.calls += 1
            for i, batch in enumerate(source.batches(model, generator)):
                if Breaking.calls == 5 and i == 2:
                    raise Killed  # in the middle of an epoch
                yield batch

    import importlib

    module = importlib.import_module("dfl.training.train")
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    file = Checkpoint(tmp_path / "run.safetensors", "same")
    broken, _ = problem()
    with pytest.raises(Killed):
        train(broken, loss(), Breaking(), monitor=monitor, checkpoint=file, **settings)
    fresh, _ = problem()
    result = train(fresh, loss(), source, monitor=monitor, checkpoint=file, **settings)
    assert torch.equal(fresh.weight, whole.weight)
    assert [e["loss"] for e in result.history] == [e["loss"] for e in expected.history]
    assert result.best_epoch == expected.best_epoch
    # a finished run is not run again
    again, _ = problem()
    train(again, loss(), Breaking(), monitor=monitor, checkpoint=file, **settings)
    assert torch.equal(again.weight, whole.weight)


def test_checkpoints_refuse_what_is_not_theirs(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    Checkpoint(path, "a").save({"x": torch.ones(2)}, {"k": 1})
    tensors, values = Checkpoint(path, "a").load()  # type: ignore[misc]
    assert values == {"k": 1}
    assert tensors["x"].tolist() == [1.0, 1.0]
    with pytest.raises(TrainingError, match="another training run"):
        Checkpoint(path, "b").load()
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TrainingError, match="damaged"):
        Checkpoint(path, "a").load()
    path.write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="damaged"):
        Checkpoint(path, "a").load()
    assert Checkpoint(tmp_path / "absent", "a").load() is None
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        Checkpoint(tmp_path / "file" / "run.safetensors", "a").save({}, {})


def test_early_stopping_keeps_the_best_weights() -> None:
    model, source = problem()
    seen: list[torch.Tensor] = []
    scores = iter([4.0, 3.0, 1.0, 2.0, 2.0, 2.0, 0.0])

    def monitor(model: torch.nn.Module) -> float:
        seen.append(model.weight.detach().clone())
        return next(scores)

    result = train(model, loss("spo+"), source, monitor=monitor, patience=3, max_iter=50)
    assert result.best_epoch == 2
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3, 4, 5]
    assert torch.equal(model.weight, seen[2])
    assert not model.training


def test_weights_that_training_only_worsens_are_kept() -> None:
    model, source = problem()
    scores = iter([1.0, 2.0, 2.0])
    result = train(model, loss("spo+"), source, monitor=lambda _: next(scores), max_iter=2)
    assert result.best_epoch == 0
    assert not model.weight.any()


def test_divergence_is_named() -> None:
    model, source = problem()
    with pytest.raises(TrainingError, match=r"epoch .*smaller learning_rate"):
        train(model, loss("squared"), source, optimizer="sgd", learning_rate=1e18)


def test_arguments_are_checked() -> None:
    model, source = problem()
    for settings, words in (
        ({"max_iter": 0}, "max_iter=0"),
        ({"patience": 0}, "patience=0"),
        ({"optimizer": "adan"}, "optimizer='adan'"),
        ({"schedule": "linear"}, "schedule='linear'"),
        ({"schedule": "plateau"}, "needs a monitored number"),
        ({"learning_rate": -1.0}, "learning_rate=-1"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            train_function(model, loss("squared"), source, **settings)  # type: ignore[arg-type]


def test_progress_goes_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    model, source = problem()
    train(model, loss("squared"), source, max_iter=2)
    assert capsys.readouterr() == ("", "")
    train(model, loss("squared"), source, max_iter=2, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err


class Wrapped(torch.nn.Module):
    """A linear layer that is not trained by compiled code."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = problem()[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("name", ["squared", "absolute"])
def test_batches_in_pieces_have_the_gradient_of_the_whole(size: int, name: str) -> None:
    found = {}
    for pieces in (None, size):
        model, (_, source) = Wrapped(), problem()
        weighted = TableSource(source.inputs, source.target, 8, torch.arange(1.0, 41.0))
        result = train(model, loss(name), weighted, max_iter=3, micro_batch_size=pieces)
        found[pieces] = model.linear.weight.data, [entry["loss"] for entry in result.history]
    torch.testing.assert_close(found[None][0], found[size][0], atol=1e-5, rtol=0)
    assert found[None][1] == pytest.approx(found[size][1], rel=1e-4)


def test_long_gradients_are_cut_and_short_ones_are_not() -> None:
    moved = {}
    for norm in (None, 1e-3, 1e6):
        model, source = problem()
        train(
            model,
            loss("squared"),
            source,
            max_iter=1,
            optimizer="sgd",
            learning_rate=1.0 if norm == 1e-3 else 1e-3,
            max_grad_norm=norm,
        )
        moved[norm] = float(torch.cat([model.weight.data.flatten(), model.bias.data]).norm())
    assert 0 < moved[1e-3] <= 5 * 1e-3 * (1 + 1e-5)  # five batches
    assert moved[1e6] == pytest.approx(moved[None], rel=1e-4)
    with pytest.raises(InvalidInputError, match="max_grad_norm"):
        train(*problem_and_loss(), max_grad_norm=0.0)
    with pytest.raises(InvalidInputError, match="micro_batch_size"):
        train(*problem_and_loss(), micro_batch_size=0)


def test_gradients_can_be_changed_before_a_step() -> None:
    found = {}
    for times in (1.0, -1.0):
        model, source = problem()

        def scale(trained: torch.nn.Module, times: float = times) -> None:
            for parameter in trained.parameters():
                parameter.grad *= times

        train(model, loss("squared"), source, max_iter=1, optimizer="sgd", before_step=scale)
        found[times] = model.weight.data
    assert (found[1.0] * found[-1.0] < 0).all()  # from zero, the other way


def problem_and_loss():
    model, source = problem()
    return model, loss("squared"), source
