"""The arithmetic of SPO+ around its solve, for training without autograd."""

from __future__ import annotations

from dfl_solvers.kernels import kernel


@kernel
def shift(lo, hi, output, costs):  # type: ignore[no-untyped-def]
    """Turn predictions p into the costs 2p - c, in place."""
    for i in range(lo, hi):
        for j in range(output.shape[1]):
            output[i, j] += output[i, j] - costs[i, j]


@kernel
def compare(lo, hi, shifted, decisions, spoiled, values):  # type: ignore[no-untyped-def]
    """Write the losses (n,), and the subgradients in place of the shifted costs."""
    d = shifted.shape[1]
    for i in range(lo, hi):
        s, w, v = shifted[i], decisions[i], spoiled[i]
        # four sums, which the processor adds up side by side
        sum0 = sum1 = sum2 = sum3 = 0.0
        j = 0
        while j + 4 <= d:
            g0, g1, g2, g3 = (
                w[j] - v[j],
                w[j + 1] - v[j + 1],
                w[j + 2] - v[j + 2],
                w[j + 3] - v[j + 3],
            )
            sum0 += s[j] * g0
            sum1 += s[j + 1] * g1
            sum2 += s[j + 2] * g2
            sum3 += s[j + 3] * g3
            s[j], s[j + 1], s[j + 2], s[j + 3] = g0 + g0, g1 + g1, g2 + g2, g3 + g3
            j += 4
        while j < d:
            g0 = w[j] - v[j]
            sum0 += s[j] * g0
            s[j] = g0 + g0
            j += 1
        values[i] = (sum0 + sum1) + (sum2 + sum3)
