"""What single precision does to black-box training with PyEPO's published settings.

Run ``python experiments/benchmarks/black_box_precision.py [--seeds N]``: shortest paths of degree
6, 1000 instances to train on. Published training minimizes ``|c.w*(p) - z*|``. In single precision
the two sums of an instance that is solved already are rounded differently; the sign of what is left
is often negative, and the gradient points away from the true costs. In double precision, rounding
is told from regret, and there is no gradient.
"""

from __future__ import annotations

import argparse
from statistics import mean

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from dfl import metrics
from dfl.datasets import make_shortest_path

N, BATCH, EPOCHS, RATE, SMOOTHING = 1000, 128, 300, 0.01, 20.0


def trained(noise: float, seed: int, precision: torch.dtype) -> tuple[float, float]:
    """Return the regret in percent, and the share of instances whose gradient points away."""
    data = make_shortest_path(2 * N, degree=6, noise=noise, random_state=seed)
    train, test = train_test_split(np.arange(2 * N), test_size=N, random_state=seed)

    def decide(predicted: torch.Tensor) -> torch.Tensor:
        solution = data.oracle.solve(predicted.detach().double().numpy())
        return torch.tensor(solution.decisions, dtype=precision)

    x = torch.tensor(data.X[train], dtype=precision)
    costs = torch.tensor(data.C[train], dtype=precision)
    best = torch.tensor(data.oracle.solve(data.C[train]).objectives, dtype=precision)
    torch.manual_seed(seed)
    model = torch.nn.Linear(x.shape[1], costs.shape[1]).to(precision)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    batches = torch.Generator().manual_seed(seed)
    away = []
    for _ in range(EPOCHS):
        shuffled = torch.randperm(N, generator=batches)
        for start in range(0, N, BATCH):
            rows = shuffled[start : start + BATCH]
            predicted = model(x[rows])
            decisions = decide(predicted)
            gap = (decisions * costs[rows]).sum(1) - best[rows]
            if precision is torch.float64:
                gap[gap.abs() < 1e-9] = 0.0
            away.append(float((gap < 0).double().mean()))
            gradient = gap.sign()[:, None] * costs[rows] / len(rows)
            moved = decide(predicted + SMOOTHING * gradient)
            optimizer.zero_grad()
            predicted.backward((moved - decisions) / SMOOTHING)
            optimizer.step()
    with torch.no_grad():
        predicted = model(torch.tensor(data.X[test], dtype=precision)).double().numpy()
    optimal = metrics.optimal_objectives(data.oracle, data.C[test])
    regret = metrics.regret(data.oracle, predicted, data.C[test], optimal=optimal)
    return 100 * float(regret.sum() / abs(optimal).sum()), mean(away)


def main() -> None:
    """Print a line a noise and precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    for noise in (0.0, 0.5):
        for precision in (torch.float64, torch.float32):
            found = [trained(noise, seed, precision) for seed in seeds]
            regrets = ", ".join(f"{regret:.2f}" for regret, _ in found)
            print(
                f"noise {noise}, {precision}: mean regret {mean(r for r, _ in found):.2f} % "
                f"({regrets}); gradients that point away: {100 * mean(a for _, a in found):.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
