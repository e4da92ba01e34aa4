"""Segments and what they are worth: exact values, identities, and what is refused."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl.exceptions import InvalidInputError
from dfl.rl.segment import (
    ChainAdvantages,
    EdgeReplay,
    Example,
    GroupAdvantages,
    chain_advantages,
    depth_weights,
    pack,
    partition_cutpoints,
    partition_fixed,
    policy_loss,
    tree_advantages,
    tree_values,
)

P = torch.tensor([[0.99, 0.5, 0.95, 0.8, 0.99, 0.3, 0.6, 0.99, 0.85, 0.99]])
RHO = 0.9


def example(advantages, log_prob=None, **parts) -> Example:
    advantages = torch.as_tensor(advantages, dtype=torch.float32)
    n = len(advantages)
    log_prob = torch.full((n,), -1.0) if log_prob is None else log_prob
    return Example(0, torch.tensor([5]), torch.arange(n), advantages, log_prob, **parts)


def test_cutpoints_and_advantages_have_their_exact_values() -> None:
    low = P[0] < RHO
    assert low.nonzero().flatten().tolist() == [1, 3, 5, 6, 8]
    (places,) = partition_cutpoints(P.log(), P > 0, RHO, interval=2)
    assert places.tolist() == [0, 4, 7]
    found = chain_advantages(places, torch.tensor([0.2, 0.5, 0.4]), 1.0, 10)
    expected = torch.tensor([0, 0.3, 0.3, 0.3, 0.3, -0.1, -0.1, -0.1, 0.6, 0.6])
    torch.testing.assert_close(found, expected)
    masked = torch.tensor([0, 0.3, 0, 0.3, 0, -0.1, -0.1, 0, 0.6, 0])
    torch.testing.assert_close(found * low, masked)
    _, samples = pack([example(found, P[0].log())], threshold=RHO, max_completion_length=10)
    assert int(samples.mask.sum()) == 5
    torch.testing.assert_close(samples.weights[0, 0], masked / 5)
    # a first token that is unlikely: the value of the prompt is asked for
    assert partition_cutpoints(P[:, 1:].log(), P[:, 1:] > 0, RHO, 2)[0].tolist() == [-1, 3, 6]
    # one boundary only, and none at all
    assert partition_cutpoints(P.log(), P > 0, RHO, math.inf)[0].tolist() == [0]
    assert partition_cutpoints(P.log(), P > 0, 0.1)[0].tolist() == []
    assert chain_advantages(torch.empty(0).long(), torch.empty(0), 1.0, 3).tolist() == [0, 0, 0]


def test_advantages_telescope() -> None:
    found = chain_advantages(torch.tensor([-1, 0, 1]), torch.tensor([0.2, 0.5, 0.4]), 1.0, 3)
    torch.testing.assert_close(found, torch.tensor([0.3, -0.1, 0.6]))
    assert found.sum().item() == pytest.approx(0.8)
    whole = chain_advantages(torch.tensor([-1]), torch.tensor([0.2]), 1.0, 4)
    torch.testing.assert_close(whole, torch.full((4,), 0.8))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 12), st.randoms())
def test_every_token_belongs_to_one_segment_and_they_sum_to_the_reward(
    length, size, random
) -> None:
    mask = torch.ones(1, length, dtype=torch.bool)
    log_prob = torch.tensor([[random.uniform(-0.3, 0) for _ in range(length)]])
    for places in (
        partition_fixed(mask, size)[0],
        partition_cutpoints(log_prob, mask, 0.9, size)[0],
    ):
        values = torch.tensor([random.random() for _ in places])
        reward = float(random.random() < 0.5)
        found = chain_advantages(places, values, reward, length)
        ends = [*places.tolist(), length - 1]
        gains = [*values.tolist(), reward]
        for k in range(len(places)):
            segment = found[ends[k] + 1 : ends[k + 1] + 1]
            assert len(segment) > 0
            torch.testing.assert_close(segment, torch.full_like(segment, gains[k + 1] - gains[k]))
        assert not found[: ends[0] + 1].any() or not len(places)
    sizes = [*partition_fixed(mask, size)[0].tolist(), length - 1]
    assert all(b - a <= size for a, b in itertools.pairwise(sizes))


def test_equal_numbers_of_cutpoints_in_segments_have_the_least_sum_of_squares() -> None:
    chances = torch.full((1, 12), 0.95)
    chances[0, [0, 1, 2, 5, 8, 11]] = 0.5
    log_prob, mask = chances.log(), chances > 0

    def objective(places: list[int]) -> int:
        ends = [*places, 11]
        low = chances[0] < RHO
        counts = [int(low[a + 1 : b + 1].sum()) for a, b in itertools.pairwise(ends)]
        return sum(count**2 for count in counts)

    places = partition_cutpoints(log_prob, mask, RHO, 2)[0].tolist()
    assert objective(places) == 12  # 2, 2, 2
    assert objective([-1, 0, 2]) == 14  # 1, 2, 3


def test_trees_have_their_exact_values() -> None:
    parents = torch.tensor([-1, 0, 0, 1, 1, 2, 2])
    values = tree_values(parents, torch.tensor([0, 0, 0, 1.0, 1, 1, 0]))
    assert values.tolist() == [0.75, 1, 0.5, 1, 1, 1, 0]
    found = tree_advantages(parents, values)
    assert found.tolist() == [0, 0.25, -0.25, 0, 0, 0.5, -0.5]
    assert int((found != 0).sum()) == 4
    normed = tree_advantages(parents, values, "std")
    torch.testing.assert_close(normed, torch.tensor([0, 1.0, -1, 0, 0, 1, -1]))
    torch.testing.assert_close(tree_advantages(parents, values, "loo"), 2 * found)
    # along each path they sum to the reward less the value of the root
    for leaf in range(3, 7):
        assert found[leaf] + found[parents[leaf]] == values[leaf] - values[0]
    # a leaf that ended early counts as one child: not the mean over leaves, two thirds
    early = tree_values(torch.tensor([-1, 0, 0, 2, 2]), torch.tensor([0, 0, 0, 1.0, 1.0]))
    assert early.tolist() == [0.5, 0, 1, 1, 1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40), st.randoms())
def test_values_are_means_over_children_and_siblings_sum_to_zero(numbers, random) -> None:
    # two trees side by side
    parents = [-1, -1] + [number % (i + 2) for i, number in enumerate(numbers)]
    above = torch.tensor(parents)
    values = tree_values(above, torch.tensor([random.random() for _ in parents]))
    for i in range(len(parents)):
        own = above == i
        if own.any():
            assert values[i].item() == pytest.approx(values[own].mean().item(), abs=1e-6)
            k = int(own.sum())
            found = {norm: tree_advantages(above, values, norm)[own] for norm in ("none", "loo")}
            assert abs(found["none"].sum().item()) < 1e-5
            if k > 1:
                torch.testing.assert_close(found["loo"], k / (k - 1) * found["none"])


def test_a_tree_of_one_level_is_centered_rewards() -> None:
    rewards = torch.tensor([1.0, 0, 0, 1, 1, 0])
    parents = torch.tensor([-1] + [0] * 6)
    values = tree_values(parents, torch.cat([torch.zeros(1), rewards]))
    assert tree_advantages(parents, values)[1:].tolist() == [0.5, -0.5, -0.5, 0.5, 0.5, -0.5]
    loo = tree_advantages(parents, values, "loo")[1:]
    torch.testing.assert_close(loo, 0.6 * (2 * rewards - 1))


def test_weights_of_depths() -> None:
    depths = torch.tensor([1] * 6 + [2] * 36 + [3] * 216)
    for weighting in ("count", "uniform"):
        weights = depth_weights((6, 6, 6), depths, weighting)
        assert weights.mean().item() == pytest.approx(1.0)
    sums = [float(weights[depths == d].sum()) for d in (1, 2, 3)]
    assert sums == pytest.approx([86.0] * 3)
    with pytest.raises(InvalidInputError, match="depth_weighting"):
        depth_weights((2,), torch.tensor([1]), "other")


@pytest.mark.parametrize(
    ("ratio", "weight", "value", "slope"),
    [(1.5, 1, -1.2, 0), (0.5, -1, 0.8, 0), (1.5, -1, 1.5, 1.5), (0.5, 1, -0.5, -0.5)],
)
def test_ratios_are_clipped(ratio, weight, value, slope) -> None:
    batch, samples = pack([example([float(weight)])], max_completion_length=1)
    del batch
    log_prob = (samples.log_prob_old + math.log(ratio)).requires_grad_()
    loss = policy_loss(0.2)(log_prob, samples)
    loss.backward()
    assert loss.item() == pytest.approx(value, abs=1e-6)
    assert log_prob.grad.item() == pytest.approx(slope, abs=1e-6)


def test_the_divergence_has_its_exact_values() -> None:
    for apart, expected in ((0.1, 0.00517092), (-0.1, 0.00483742)):
        own = example([0.0], log_prob_ref=torch.tensor([-1.0 + apart]))
        batch, samples = pack([own], max_completion_length=1)
        output = torch.stack([samples.log_prob_old[:, 0], batch.log_prob_ref], 1)
        assert policy_loss(0.2, beta=1.0)(output, samples).item() == pytest.approx(
            expected, rel=1e-4
        )
        assert policy_loss(0.2, beta=0.0)(output, samples).item() == 0


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo"])
@pytest.mark.parametrize("whiten", [False, True])
def test_an_empty_mask_gives_a_loss_of_zero_and_finite_gradients(loss_type, whiten) -> None:
    sure = example([1.0, -1.0], torch.tensor([0.95, 0.99]).log(), log_prob_ref=torch.zeros(2))
    batch, samples = pack(
        [sure], threshold=RHO, whiten=whiten, loss_type=loss_type, max_completion_length=2
    )
    log_prob = samples.log_prob_old.clone().requires_grad_()
    output = torch.cat([log_prob, batch.log_prob_ref[:, None]], 1)
    loss = policy_loss(0.2, beta=0.1)(output, samples)
    loss.backward()
    assert loss.item() == 0
    assert log_prob.grad.tolist() == [[[0, 0]]]


def test_what_losses_average_over() -> None:
    long, short = example([1.0] * 4), example([2.0])
    found = {}
    for kind in ("dapo", "grpo", "dr_grpo"):
        _, samples = pack([long, short], loss_type=kind, max_completion_length=8)
        log_prob = samples.log_prob_old.clone()
        found[kind] = -policy_loss(0.2)(log_prob, samples).item()
    assert found["dapo"] == pytest.approx((4 * 1 + 2) / 5)
    assert found["grpo"] == pytest.approx((1 + 2) / 2)
    assert found["dr_grpo"] == pytest.approx((4 / 8 + 2 / 8) / 2)
    _, samples = pack([long, short], whiten=True, max_completion_length=8)
    advantages = samples.weights[samples.mask] * 5 / 2
    assert advantages.mean().item() == pytest.approx(0, abs=1e-6)
    assert advantages.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert advantages[-1] > 0 > advantages[0]


def test_equal_advantages_are_whitened_to_zero_not_to_rounding() -> None:
    for n in range(2, 20):
        _, samples = pack([example([0.3] * n)], whiten=True, max_completion_length=n)
        assert not samples.weights.any()


def test_other_completions_change_no_advantage_but_the_average() -> None:
    one, other = example([0.5, -0.5, 0.2]), example([1.0] * 7)
    _, alone = pack([one], loss_type="grpo", max_completion_length=8)
    _, both = pack([other, one], loss_type="grpo", max_completion_length=8)
    torch.testing.assert_close(both.weights[1, 0, :3], alone.weights[0, 0])
    assert not both.weights[1, 0, 3:].any()
    assert not both.mask[1, 0, 3:].any()


def test_replay_gives_each_edge_once_a_few_a_prompt_and_drops_old_ones() -> None:
    def edges(row: int, n: int) -> list[Example]:
        return [
            Example(row, torch.tensor([9]), torch.tensor([i]), torch.ones(1), torch.zeros(1))
            for i in range(n)
        ]

    generator = torch.Generator().manual_seed(0)
    replay = EdgeReplay(max_age=3, per_prompt=4)
    replay.add(edges(0, 10) + edges(1, 3))
    first = replay.take(generator)
    assert [e.row for e in first].count(0) == 4
    assert [e.row for e in first].count(1) == 3
    kept = replay.state_dict()
    second = replay.take(generator)
    assert len(second) == 4
    seen = [int(e.response) for e in first + second if e.row == 0]
    assert len(set(seen)) == 8
    assert len(replay.take(generator)) == 2
    assert len(replay) == 0
    # the same again from its state
    again = EdgeReplay(max_age=3, per_prompt=4)
    again.load_state_dict(kept)
    assert len(again) == 6
    left = torch.Generator().manual_seed(3)
    right = torch.Generator().manual_seed(3)
    replay.load_state_dict(kept)
    for _ in range(2):
        one, other = replay.take(left), again.take(right)
        assert [int(e.response) for e in one] == [int(e.response) for e in other]
        assert all(e.row == 0 and e.log_prob.tolist() == [0.0] for e in other)
    assert len(again) == 0
    # too old
    replay = EdgeReplay(max_age=2, per_prompt=1)
    replay.add(edges(0, 10))
    assert [len(replay.take(generator)) for _ in range(3)] == [1, 1, 0]
    empty = EdgeReplay()
    empty.load_state_dict({})
    assert empty.take(generator) == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: partition_fixed(P > 0, 0), "size=0"),
        (lambda: partition_fixed(P, 2), "expected booleans"),
        (lambda: partition_cutpoints(P.log(), P > 0, 0.0), "threshold=0.0"),
        (lambda: partition_cutpoints(P.log(), P > 0, 0.9, 0), "interval=0"),
        (lambda: partition_cutpoints(P.log(), P > 0, 0.9, 1.5), "interval=1.5"),
        (lambda: partition_cutpoints(P.log()[:, 1:], P > 0), "expected one shape"),
        (lambda: chain_advantages(torch.tensor([0]), torch.zeros(2), 1.0, 4), "same"),
        (lambda: chain_advantages(torch.tensor([2, 1]), torch.zeros(2), 1.0, 4), "increasing"),
        (lambda: chain_advantages(torch.tensor([3]), torch.zeros(1), 1.0, 4), "increasing"),
        (lambda: tree_values(torch.tensor([-1, 1]), torch.zeros(2)), "parent 1 of node 1"),
        (lambda: tree_values(torch.tensor([-1]), torch.zeros(2)), "same"),
        (lambda: tree_advantages(torch.tensor([-1]), torch.zeros(1), "x"), "norm='x'"),
        (lambda: EdgeReplay(max_age=0), "max_age=0"),
        (lambda: pack([], max_completion_length=1), "no examples"),
        (lambda: pack([example([1.0])], loss_type="x", max_completion_length=1), "loss_type='x'"),
        (lambda: GroupAdvantages(baseline="x"), "baseline='x'"),
        (lambda: GroupAdvantages(num_generations=1), "num_generations=1"),
        (lambda: ChainAdvantages(partition="x"), "partition='x'"),
    ],
)
def test_errors_name_what_is_wrong(call, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()
