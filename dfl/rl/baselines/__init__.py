"""What a policy method must beat at the same budget."""

from dfl.rl.baselines.ppo import PPOPolicy as PPOPolicy
from dfl.rl.baselines.ppo import train_ppo as train_ppo
from dfl.rl.baselines.shooting import random_shooting as random_shooting

__all__ = ["PPOPolicy", "random_shooting", "train_ppo"]
