"""Time and gradients of quadratic programs as a layer, against qpth, ProxSuite and cvxpylayers.

Every layer gets the same tensors and returns optima and the gradients of all parts that are asked
for. Rounds are interleaved. Gradients are compared, along random directions, with central
differences of optima whose tight rows Clarabel finds and NumPy solves exactly.

Run ``python experiments/benchmarks/qp_layer.py [--write docs/_generated/qp_layer.md]`` with the
extra ``benchmarks`` installed. A peer that is missing is named as missing. qpth 0.0.18 asks for
NumPy below 2 and is built by an old setuptools only, but runs with a new NumPy: ``pip install
--no-deps qpth`` installs it, with ``PIP_CONSTRAINT`` naming a file that says ``setuptools<66``.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import torch
from _common import quietly, report
from torch import Tensor

from dfl.layers import ConvexLayer
from dfl_solvers import GridShortestPath
from dfl_solvers.backends.clarabel import solve_cone_program
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Array

ROUNDS = 15
NAMES = ("Q", "p", "A", "b", "G", "h")
CHECKED = 4  # instances of the check of gradients
DIRECTIONS = 3
Layer = Callable[..., Tensor]  # the parts, in the order of NAMES -> optima (n, k)


@dataclass
class Case:
    """Programs, and which of their parts want gradients."""

    name: str
    parts: list[Array]
    wanted: tuple[str, ...]

    def tensors(self, n: int | None = None) -> list[Tensor]:
        """Return the parts of the first n instances."""
        shared = [
            part.ndim == 1 + (name in "QAG") for name, part in zip(NAMES, self.parts, strict=True)
        ]
        return [
            torch.tensor(part if own else part[:n], requires_grad=name in self.wanted)
            for name, part, own in zip(NAMES, self.parts, shared, strict=True)
        ]


def cases() -> list[Case]:
    """Return the problems."""
    rng = np.random.default_rng(0)
    n, k, e, m = 128, 20, 5, 10
    loads = rng.normal(size=(n, k, k))
    Q = loads @ loads.transpose(0, 2, 1) / k + 0.1 * np.eye(k)
    p, A, G = rng.normal(size=(n, k)), rng.normal(size=(n, e, k)), rng.normal(size=(n, m, k))
    point = rng.normal(size=(n, k))
    gap = rng.uniform(0.1, 1.0, (n, m))
    size = f"{k} variables, {m} inequalities, {e} equalities, batch {n}"
    own = [Q, p, A, np.matvec(A, point), G, np.matvec(G, point) + gap]
    shared = [Q[0], p, A[0], A[0] @ point[0], G[0], G[0] @ point[0] + gap[0]]
    found = [
        Case(f"{size}; every part by instance, all gradients", own, NAMES),
        Case(f"{size}; p by instance, all gradients", shared, NAMES),
        Case(f"{size}; p by instance, its gradient", shared, ("p",)),
    ]
    layer = ConvexLayer.from_program(GridShortestPath(5, 5).program(), smoothing=1.0)
    program = [getattr(layer, name).numpy() for name in ("A", "b", "G", "h")]
    # one of the rows depends on the others, which not every peer can take
    program[0], program[1] = program[0][1:], program[1][1:]
    for smoothing in (1.0, 0.1):
        parts = [smoothing * np.eye(40), rng.uniform(1, 2, (32, 40)), *program]
        name = (
            f"path 5 x 5 with smoothing {smoothing:g}: 40 variables, 80 bounds, 24 rows, batch 32"
        )
        found.append(Case(f"{name}; p by instance, its gradient", parts, ("p",)))
    return found


def ours(Q: Tensor, p: Tensor, A: Tensor, b: Tensor, G: Tensor, h: Tensor) -> Tensor:
    """Solve by this library."""
    return ConvexLayer()(p, Q=Q, A=A, b=b, G=G, h=h)


def qpth(case: Case) -> Layer:
    """Return qpth's layer."""
    from qpth.qp import QPFunction

    layer = QPFunction(verbose=-1, check_Q_spd=False)
    return lambda Q, p, A, b, G, h: layer(Q, p, G, h, A, b)


def proxsuite(case: Case) -> Layer:
    """Return ProxSuite's layer, on all cores where it was built for them."""
    from proxsuite.torch.qplayer import QPFunction

    def build(parallel: bool) -> Layer:
        layer = QPFunction(omp_parallel=parallel)

        def solve(Q: Tensor, p: Tensor, A: Tensor, b: Tensor, G: Tensor, h: Tensor) -> Tensor:
            return layer(Q, p, A, b, G, torch.full_like(h, -1e20), h)[0]

        return solve

    try:
        build(True)(*case.tensors(2))
    except Exception:
        return build(False)
    return build(True)


def cvxpylayers(case: Case, **options: str) -> Layer:
    """Return a layer of cvxpylayers; the objective has a factor of Q, since it must be DPP."""
    import cvxpy as cp
    from cvxpylayers.torch import CvxpyLayer

    (e, k), m = case.parts[2].shape[-2:], case.parts[4].shape[-2]
    z, F, p = cp.Variable(k), cp.Parameter((k, k)), cp.Parameter(k)
    A, b, G, h = cp.Parameter((e, k)), cp.Parameter(e), cp.Parameter((m, k)), cp.Parameter(m)
    objective = cp.Minimize(0.5 * cp.sum_squares(F @ z) + p @ z)
    problem = cp.Problem(objective, [A @ z == b, G @ z <= h])
    layer = CvxpyLayer(problem, parameters=[F, p, A, b, G, h], variables=[z])

    def solve(Q: Tensor, *rest: Tensor) -> Tensor:
        return layer(torch.linalg.cholesky(Q).mT, *rest, solver_args=options)[0]

    return solve


def cvxpylayers_dense(case: Case) -> Layer:
    """Return the same with the derivative by a factorization in place of iterations."""
    return cvxpylayers(case, solve_method="Clarabel", mode="dense")


PEERS = {
    "qpth": {"qpth": qpth},
    "proxsuite": {"ProxSuite": proxsuite},
    "cvxpylayers": {"cvxpylayers": cvxpylayers, "cvxpylayers, dense": cvxpylayers_dense},
}


def exact(Q: Array, p: Array, A: Array, b: Array, G: Array, h: Array) -> Array:
    """Return an optimum: the tight rows of an interior-point solution, solved as equalities."""
    near, _ = solve_cone_program(
        p,
        np.vstack([A, G]),
        np.concatenate([b, h]),
        quadratic=Q,
        n_equal=len(b),
        n_at_most=len(h),
        tolerance=1e-11,
    )
    tight = h - G @ near < 1e-6
    N, d = np.vstack([A, G[tight]]), np.concatenate([b, h[tight]])
    matrix = np.block([[Q, N.T], [N, np.zeros((len(d), len(d)))]])
    # bounds and rows may depend on each other, so that multipliers are not unique
    return np.linalg.lstsq(matrix, np.concatenate([-p, d]))[0][: len(p)]


def differences(case: Case) -> list[tuple[int, Array, float]]:
    """Return (part, direction, derivative) of a loss of the first instances along directions."""
    rng = np.random.default_rng(1)
    parts = [tensor.detach().numpy() for tensor in case.tensors(CHECKED)]
    weights = checked_weights(case)

    def loss(moved: list[Array]) -> float:
        total = 0.0
        for i in range(CHECKED):
            own = [
                part[i] if part.ndim > 1 + (name in "QAG") else part
                for name, part in zip(NAMES, moved, strict=True)
            ]
            total += weights[i] @ exact(*own)
        return total

    found = []
    for name in case.wanted:
        place = NAMES.index(name)
        for _ in range(DIRECTIONS):
            direction = rng.normal(size=parts[place].shape)
            if name == "Q":
                direction = (direction + direction.swapaxes(-1, -2)) / 2
            sides = []
            for step in (1e-5, -1e-5):
                moved = [*parts[:place], parts[place] + step * direction, *parts[place + 1 :]]
                sides.append(loss(moved))
            found.append((place, direction, (sides[0] - sides[1]) / 2e-5))
    return found


def checked_weights(case: Case) -> Array:
    """Return the weights (n, k) of the optima in the loss."""
    return np.random.default_rng(2).normal(size=(CHECKED, case.parts[1].shape[-1]))


def gradients(layer: Layer, parts: list[Tensor], weights: Tensor) -> list[Tensor]:
    """Return the gradients of what wants one."""
    z = layer(*parts)
    return list(torch.autograd.grad(z, [part for part in parts if part.requires_grad], weights))


def error(layer: Layer, case: Case, expected: list[tuple[int, Array, float]]) -> float:
    """Return the largest error of a derivative, relative to the largest one of its part."""
    found = gradients(layer, case.tensors(CHECKED), torch.tensor(checked_weights(case)))
    own = dict(zip(map(NAMES.index, case.wanted), found, strict=True))
    worst = 0.0
    for place, direction, derivative in expected:
        size = max(abs(value) for other, _, value in expected if other == place)
        worst = max(worst, abs((own[place].numpy() * direction).sum() - derivative) / size)
    return worst


def rows(case: Case, peers: dict[str, Callable[[Case], Layer]]) -> list[str]:
    """Measure one problem, and return its rows."""
    layers: dict[str, Layer] = {"dfl": ours, "dfl, one thread": ours}
    with quietly():
        layers |= {name: build(case) for name, build in peers.items()}
        parts, expected = case.tensors(), differences(case)
        weights = torch.tensor(np.random.default_rng(3).normal(size=case.parts[1].shape))
        times: dict[str, list[float]] = {name: [] for name in layers}
        errors = {name: error(layer, case, expected) for name, layer in layers.items()}
        for layer in layers.values():
            gradients(layer, parts, weights)
        for _ in range(ROUNDS):
            for name, layer in layers.items():
                set_threads(1 if name == "dfl, one thread" else None)
                start = time.perf_counter()
                gradients(layer, parts, weights)
                times[name].append(time.perf_counter() - start)
        set_threads(None)
    mine, found = statistics.median(times["dfl"]), []
    for name, spent in times.items():
        median = statistics.median(spent)
        cells = [case.name if name == "dfl" else "", name, shown(1e3 * median)]
        cells += [shown(1e3 * min(spent)), shown(median / mine), f"{errors[name]:.0e}"]
        found.append(f"| {' | '.join(cells)} |")
    return found


def shown(number: float) -> str:
    """Write a number with two digits."""
    return f"{float(f'{number:.2g}'):,g}"


def table() -> str:
    """Measure, and return rows of every problem."""
    peers: dict[str, Callable[[Case], Layer]] = {}
    missing = []
    for name, layers in PEERS.items():
        if find_spec(name) is None:
            missing.append(name)
        else:
            peers |= layers
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS if name not in missing)
    absent = f" Missing here: {', '.join(missing)}." if missing else ""
    return "\n".join(
        [
            "Milliseconds of optima and gradients of one batch in float64, "
            f"{os.cpu_count()} cores; "
            f"median and best of {ROUNDS} interleaved rounds. The error is that of gradients, "
            "against central differences of exact optima, relative to the largest derivative. "
            f"{versions}.{absent}",
            "",
            "| | layer | median | best | times dfl | error |",
            "|---|---|---|---|---|---|",
            *(line for case in cases() for line in rows(case, peers)),
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
