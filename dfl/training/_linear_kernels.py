"""Compiled steps of a linear predictor and of the optimizers."""

from __future__ import annotations

import math

from dfl_solvers.kernels import kernel, part

# what ``rates`` holds
RATE, BETA1, BETA2, EPSILON, DECAY = range(5)
ADAM, ADAMW, SGD = range(3)


@part
def _step(weights, slope, mean, square, rule, rates, count):  # type: ignore[no-untyped-def]
    """Take one step of an optimizer over flat arrays; torch's own, up to rounding."""
    real = weights.dtype.type
    rate, decay = real(rates[RATE]), real(rates[DECAY])
    count[0] += 1
    if rule == SGD:
        for i in range(len(weights)):
            weights[i] -= rate * (slope[i] + decay * weights[i])
        return
    beta1, beta2 = real(rates[BETA1]), real(rates[BETA2])
    rest1, rest2 = real(1 - rates[BETA1]), real(1 - rates[BETA2])
    # the root of the squares' correction is carried out of the fraction: a division less
    root = math.sqrt(1 - rates[BETA2] ** count[0])
    size = real(rates[RATE] * root / (1 - rates[BETA1] ** count[0]))
    epsilon = real(rates[EPSILON] * root)
    shrink = real(1 - rates[RATE] * rates[DECAY]) if rule == ADAMW else real(1)
    pull = real(0) if rule == ADAMW else decay
    for i in range(len(weights)):
        g = slope[i] + pull * weights[i]
        mean[i] = beta1 * mean[i] + rest1 * g
        square[i] = beta2 * square[i] + rest2 * g * g
        weights[i] = shrink * weights[i] - size * mean[i] / (math.sqrt(square[i]) + epsilon)


@kernel
def step(  # type: ignore[no-untyped-def]
    lo, hi, weights, slope, mean, square, rule, rates, count
):
    """Take one step of an optimizer over flat arrays; nothing to do for no parameters."""
    if lo < hi:
        _step(weights, slope, mean, square, rule, rates, count)


@kernel
def predict(lo, hi, inputs, weights, output):  # type: ignore[no-untyped-def]
    """Costs (n, d) of inputs (n, p) by weights (p + 1, d), the last row being the intercept."""
    p, d = inputs.shape[1], output.shape[1]
    for i in range(lo, hi):
        x, out, w = inputs[i], output[i], weights[p]
        for j in range(d):
            out[j] = w[j]
        k = 0
        while k + 4 <= p:  # four at a time, since memory is slower than arithmetic
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            for j in range(d):
                out[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
            k += 4
        while k < p:
            x0, w0 = x[k], weights[k]
            for j in range(d):
                out[j] += x0 * w0[j]
            k += 1


@kernel
def update(  # type: ignore[no-untyped-def]
    lo, hi, inputs, gradient, scales, weights, slope, mean, square, rule, rates, count
):
    """Carry the gradient (n, d) in the output to the weights (p + 1, d), and take one step."""
    if lo == hi:
        return
    p, d = inputs.shape[1], gradient.shape[1]
    slope[:] = 0
    i = lo
    while i + 4 <= hi:
        g0, g1, g2, g3 = gradient[i], gradient[i + 1], gradient[i + 2], gradient[i + 3]
        for k in range(p + 1):
            x0, x1, x2, x3 = scales[i], scales[i + 1], scales[i + 2], scales[i + 3]
            if k < p:
                x0 *= inputs[i, k]
                x1 *= inputs[i + 1, k]
                x2 *= inputs[i + 2, k]
                x3 *= inputs[i + 3, k]
            out = slope[k]
            for j in range(d):
                out[j] += (x0 * g0[j] + x1 * g1[j]) + (x2 * g2[j] + x3 * g3[j])
        i += 4
    while i < hi:
        g0 = gradient[i]
        for k in range(p + 1):
            x0 = scales[i] * inputs[i, k] if k < p else scales[i]
            out = slope[k]
            for j in range(d):
                out[j] += x0 * g0[j]
        i += 1
    _step(
        weights.reshape(-1), slope.reshape(-1), mean.reshape(-1), square.reshape(-1),
        rule, rates, count,
    )  # fmt: skip
