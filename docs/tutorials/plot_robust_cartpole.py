"""
A pole on a cart, and sensors that lie
======================================

A policy learns to balance a pole by what its sensors show. Then somebody moves what they show, a
little, and always where it hurts. We train three policies for the same number of steps, one of them
standard and two with an adversary inside, and attack all of them in the same ways.
"""

# %%
# Three trainings
# ---------------
# All are proximal policy optimization in one loop; ``configuration_by_name`` says which adversary
# is inside. ``arpo`` trains against observations that make its objective smallest; ``barpo``
# against those that move the policy most, reconstructed from what is published. The ball has a
# radius of 0.5 standard deviations of what is observed.

import matplotlib.pyplot as plt
import numpy as np

from dfl.rl.envs import CartPole
from dfl.rl.robust import (
    ActionDifferenceAttack,
    CriticAttack,
    RandomAttack,
    RobustPolicyOptimizer,
    ValueAttack,
    configuration_by_name,
    evaluate,
)

policies = {
    name: RobustPolicyOptimizer(
        **configuration_by_name(name),
        epsilon=0.5,
        attack_steps=3,
        hidden=(32,),
        max_iter=12,
        rollout_length=64,
        n_epochs=8,
        learning_rate=5e-3,
        random_state=0,
    ).fit(CartPole())
    for name in ("ppo", "arpo", "barpo")
}
for name, policy in policies.items():
    print(name, f"{policy.score(n_episodes=50):.0f}", policy.budget_)

# %%
# Four attacks, and the worst of them
# -----------------------------------
# Noise, descent on the critic, the largest change of the action, and descent on action values. The
# fifth, an adversary that is itself learned, takes a minute for each policy: add
# ``LearnedAttack()``. Every attack begins the same 20 episodes, with the scales of training frozen;
# three gradients for each observation suffice here.

attacks = [RandomAttack(), CriticAttack(3), ActionDifferenceAttack(3), ValueAttack(3)]
reports = {
    name: evaluate(policy, attacks=attacks, n_episodes=20, random_state=1)
    for name, policy in policies.items()
}
for name, report in reports.items():
    print(name)
    print(report.table())

# %%
# What is lost
# ------------
# ``arpo`` may come to a policy that no attack moves because it does not look at its sensors at all,
# and drops the pole at once: robust, and useless. Such tension between the two returns is what the
# bilevel objective is meant to resolve. One seed says little: the recipes ``robust-cartpole`` and
# ``robust-pendulum`` repeat this with five seeds, tuned settings, paired intervals and learned
# adversaries.

columns = ["none", *(attack.name for attack in attacks), "worst"]
plt.style.use("tableau-colorblind10")  # colors that all readers can tell apart
figure, axis = plt.subplots(figsize=(8, 3.5), layout="constrained")
width = 0.8 / len(reports)
for i, (name, report) in enumerate(reports.items()):
    means = [report.natural.mean(), *(v.mean() for v in report.attacked.values()), report.worst]
    axis.bar(np.arange(len(columns)) + i * width, means, width, label=name)
axis.set_xticks(np.arange(len(columns)) + width, columns)
axis.set_ylabel("return")
axis.legend()
plt.show()
