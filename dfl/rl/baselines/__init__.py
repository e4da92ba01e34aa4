"""What a policy method must beat at the same budget."""

from dfl.rl.baselines.mpo import train_mpo as train_mpo
from dfl.rl.baselines.ppo import PPOPolicy as PPOPolicy
from dfl.rl.baselines.ppo import train_ppo as train_ppo
from dfl.rl.baselines.shooting import random_shooting as random_shooting
from dfl.rl.baselines.unsearched import NetworkPolicy as NetworkPolicy
from dfl.rl.baselines.vmpo import train_vmpo as train_vmpo

__all__ = [
    "NetworkPolicy",
    "PPOPolicy",
    "random_shooting",
    "train_mpo",
    "train_ppo",
    "train_vmpo",
]
