"""
Rubik's cube: look ahead, then learn from it
============================================

A cube was turned three times at random. Each move can be tried in a simulator first. How far does
looking ahead get without any knowledge, what does it cost, and what is left of it once a network
has learned from the searches and acts alone?
"""

# %%
# Search without knowledge
# ------------------------
# ``smc_search`` starts particles at the present cube, lets them turn at random for a few moves, and
# moves as those did that solved it. It reads nothing from the colors. An episode has six moves; the
# reward is one for a solved cube.

import os

import matplotlib.pyplot as plt
import numpy as np
import torch

from dfl import metrics
from dfl.plotting import RegretDisplay
from dfl.rl.envs import RubiksCube, play
from dfl.rl.smc import PolicyValueNetwork, SMCPolicyOptimizer, smc_search, uniform_network

short = "CI" in os.environ  # a short version where pages are only tested
moves, episodes = 6, 128 if short else 512
cube = RubiksCube(size=3, scrambles=3, max_steps=moves)


def solved(n_particles, scrambles):
    """Return which episodes end with a solved cube, by search from a uniform policy."""
    puzzle = RubiksCube(size=3, scrambles=scrambles, max_steps=moves)
    blank = uniform_network(puzzle)

    def decide(state, generator):
        return smc_search(
            puzzle, blank, state, temperature=0.1, n_particles=n_particles, generator=generator
        ).actions

    generator = torch.Generator().manual_seed(0)
    return play(puzzle, decide, episodes, moves, generator=generator).numpy()


counts = [1, 4, 16, 64] if short else [1, 4, 16, 64, 256]
plt.style.use("tableau-colorblind10")  # colors that all readers can tell apart
_, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for scrambles, marker in zip((1, 2, 3), "osD", strict=True):
    share = [metrics.mean_interval(solved(count, scrambles)) for count in counts]
    low, high = np.transpose([(interval.low, interval.high) for interval in share])
    axes.fill_between(counts, 100 * np.maximum(low, 0), 100 * high, alpha=0.2)
    axes.plot(
        counts, [100 * i.mean for i in share], marker=marker, label=f"{scrambles} random moves"
    )
    print(f"{scrambles} random moves:", " ".join(f"{interval.mean:.2f}" for interval in share))
axes.set(xscale="log", xlabel="particles of each search", ylabel="solved cubes, %")
axes.set_xticks(counts, counts)
axes.legend()

# %%
# Particles multiply the chance, and every further random move divides it: there are 18 moves to
# guess from. Luck does not scale.
#
# Learn from the searches
# -----------------------
# ``SMCPolicyOptimizer`` acts by small searches, and a network learns what they found: which move,
# and how likely the cube is to be solved. Better guesses make better searches. It trains on cubes
# of one to three random moves, so that the first successes are easy.

practice = RubiksCube(size=3, scrambles=(1, 3), max_steps=moves)
policy = SMCPolicyOptimizer(
    PolicyValueNetwork(324, cube.n_actions, hidden=(128,)),
    max_iter=20 if short else 60,
    n_environments=32,
    rollout_length=8,
    n_updates=16,
    depth=3,
    temperature=0.2,
    learning_rate=3e-3,
    random_state=0,
).fit(practice)
spent = policy.budget_
print(f"{spent['env_steps']:,.0f} moves made, {spent['model_steps']:,.0f} tried in the simulator")

_, axes = plt.subplots(figsize=(6, 3), layout="constrained")
curve = [(h["env_steps"], 100 * h["return"]) for h in policy.history_ if "return" in h]
axes.plot(*np.transpose(curve))
axes.set(xlabel="moves made in training", ylabel="solved in training, %", ylim=(0, 100))

# %%
# Who solves three random moves?
# ------------------------------
# The network alone, which needs no simulator any more; the network with a search of 16 particles;
# and searches without the network.

found = {
    f"search alone, {counts[-1]} particles": solved(counts[-1], 3),
    "search alone, 16 particles": solved(16, 3),
}
for name, search in {"network alone": False, "network and 16 particles": True}.items():
    generator = torch.Generator().manual_seed(1)

    def act(state, generator, search=search):
        seen = state if search else cube.observe(state)
        return policy.decide(seen, search=search)

    found[name] = play(cube, act, episodes, moves, generator=generator).numpy()
intervals = {name: metrics.mean_interval(values) for name, values in found.items()}
for name, interval in intervals.items():
    print(f"{name:28} solves {interval.mean:.2f} [{max(interval.low, 0):.2f}, {interval.high:.2f}]")
RegretDisplay(intervals, label="solved cubes of three random moves, %").plot()
plt.show()

# %%
# The network alone beats by far what any search without it found. Trained for longer, as in the
# full version, a small search on top adds another tenth. Is this the best way to learn it? At as
# many moves made, it is far ahead of proximal policy optimization; at as many moves tried, it is
# behind. The recipe ``smc-cube`` compares them in both currencies, over seeds.
