"""Predictors by name, and a user's own module."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from dfl.estimators._scaling import Scaling
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

_HIDDEN = (64, 64)


def make_predictor(
    predictor: str | nn.Module, n_features: int, n_outputs: int, generator: torch.Generator
) -> nn.Module:
    """Make a predictor from features (n, p) to scaled costs (n, d).

    Parameters
    ----------
    predictor : {"linear", "mlp"} or nn.Module
        A module is copied, so that the caller's own stays as it is.
    n_features, n_outputs : int
        p and d.
    generator : torch.Generator
        Draws the first weights of a named predictor.

    Returns
    -------
    nn.Module

    Raises
    ------
    InvalidInputError
        If the name is unknown or a module's output has another shape than (n, d).
    """
    if isinstance(predictor, nn.Module):
        module = copy.deepcopy(predictor)
        _check_output(module, n_features, n_outputs)
        return module
    if predictor == "linear":
        # compiled steps are no slower in double precision, and most oracles take nothing else
        return _linear(n_features, n_outputs, generator).double()
    if predictor == "mlp":
        sizes = (n_features, *_HIDDEN)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [_linear(a, b, generator), nn.ReLU()]
        return nn.Sequential(*layers, _linear(sizes[-1], n_outputs, generator))
    hint = ""
    if hasattr(predictor, "fit"):
        hint = "; a regressor of scikit-learn goes into PredictThenOptimizeRegressor"
    raise InvalidInputError(
        f"got predictor={predictor!r}, expected 'linear', 'mlp' or a torch.nn.Module{hint}"
    )


def saved_predictor(
    predictor: str | nn.Module, n_features: int, weights: Mapping[str, Tensor]
) -> nn.Module | None:
    """Make a predictor that saved weights fit; None if it is a module of the user's."""
    if not isinstance(predictor, str):
        return None
    n_outputs = len(list(weights.values())[-1])
    return make_predictor(predictor, n_features, n_outputs, torch.Generator())


def unscaled(
    layer: nn.Module, scaling: Scaling, one_output: bool
) -> tuple[Array, Array] | tuple[Array, float]:
    """Return coefficients (d, p) and intercepts (d,) of a linear layer in the units of the data.

    With one output, (p,) and a number.
    """
    weight, bias = (part.detach().double().cpu().numpy() for part in layer.parameters())
    coef, intercept = scaling.unfolded(weight, bias)
    return (coef[0], float(intercept[0])) if one_output else (coef, intercept)


def dtype_of(module: nn.Module) -> torch.dtype:
    """Return the floating-point type of a module's parameters; float32 if it has none."""
    return next((p.dtype for p in module.parameters()), torch.float32)


def device_of(module: nn.Module) -> torch.device:
    """Return where a module's parameters are; the CPU if it has none."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def checked_device(device: str | torch.device) -> torch.device:
    """Return a device, with its number, on which tensors can be made.

    Raises
    ------
    InvalidInputError
        If there is no such device here.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:  # torch asserts that it was built so
        raise InvalidInputError(
            f"got device={device!r}, which cannot be used here: {error}; expected 'cpu' or an "
            "accelerator that torch sees, such as 'cuda'"
        ) from error


def start_at_least_squares(
    layer: nn.Module, inputs: Array, costs: Array, weights: Array | None = None
) -> None:
    """Set a linear layer to the least-squares fit of scaled costs (n, d) or (n,) on inputs (n, p).

    Training for the decision then starts where predict-then-optimize ends.
    """
    design = np.column_stack([inputs, np.ones(len(inputs))])
    costs = costs.reshape(len(inputs), -1)
    if weights is not None:
        root = np.sqrt(weights)[:, None]
        design, costs = root * design, root * costs
    solution = np.linalg.lstsq(design, costs, rcond=None)[0]
    weight, bias = layer.parameters()
    with torch.no_grad():
        weight.copy_(torch.from_numpy(solution[:-1].T))
        bias.copy_(torch.from_numpy(solution[-1]))


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Make a linear layer with torch's usual first weights, drawn from our own generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out)  # type: ignore[no-untyped-call]
    bound = 1 / math.sqrt(max(n_in, 1))
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _check_output(module: nn.Module, n_features: int, n_outputs: int) -> None:
    name = type(module).__name__
    was_training = module.training
    try:
        with torch.no_grad():
            shape = tuple(module.eval()(torch.zeros(2, n_features, dtype=dtype_of(module))).shape)
    except RuntimeError as error:
        raise InvalidInputError(
            f"predictor {name} fails on features of shape (2, {n_features}): {error}"
        ) from error
    finally:
        module.train(was_training)
    if shape != (2, n_outputs):
        raise InvalidInputError(
            f"predictor {name} gives output of shape {shape} for 2 rows, expected "
            f"(2, {n_outputs}): one number per cost"
        )
