"""The state of a training run, and what a checkpoint keeps of it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import TrainingError
from dfl.losses import AbstractLoss
from dfl.training.checkpoint import Checkpoint, pack_optimizer, unpack_optimizer
from dfl.training.epoch import AutogradEpoch, Diverged, Epoch
from dfl.training.optimizers import make_optimizer, make_schedule
from dfl.training.source import Source, StatefulSource


@final
class Run:
    """The state of a training run: what a checkpoint has to hold."""

    def __init__(
        self,
        model: nn.Module,
        loss: AbstractLoss,
        source: Source,
        optimizer: str | torch.optim.Optimizer,
        learning_rate: float,
        schedule: str,
        max_iter: int,
        seed: int,
        micro_batch_size: int | None = None,
        max_grad_norm: float | None = None,
        before_step: Callable[[nn.Module], None] | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.source = source
        if isinstance(optimizer, str):
            optimizer = make_optimizer(optimizer, model, learning_rate)
        self.optimizer = optimizer
        self.micro_batch_size = micro_batch_size
        self.max_grad_norm = max_grad_norm
        self.before_step = before_step
        self.max_iter = max_iter
        self.schedule = make_schedule(schedule, self.optimizer, max_iter)
        self.on_plateau = schedule == "plateau"
        if self.schedule is not None:
            # a step without gradients changes nothing; schedules warn if there was none, and
            # compiled steps are unknown to them
            self.optimizer.zero_grad()
            self.optimizer.step()
        self.generator = torch.Generator().manual_seed(seed)
        if loss.generator is not None:
            loss.generator.manual_seed(seed + 1)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.best_value = math.inf
        self.best_epoch: int | None = None
        self.finished = False

    @functools.cached_property
    def passage(self) -> Epoch:
        """What runs epochs; made after a checkpoint is read, since it holds on to the state."""
        parts = self.model, self.loss, self.source, self.optimizer
        # imported here: compiled code is slow to load, and nobody trains while importing
        from dfl.training.linear import LinearEpoch

        special = (self.micro_batch_size, self.max_grad_norm, self.before_step)
        plain = all(part is None for part in special)
        compiled = LinearEpoch.of(*parts) if plain else None
        return compiled or AutogradEpoch(*parts, *special)

    @property
    def _device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def epochs_without_gain(self) -> int:
        return len(self.history) + 1 - (self.best_epoch or 0)

    def epoch(self) -> dict[str, float]:
        """Pass over the source once."""
        self.model.train()
        self.loss.progress = len(self.history) / self.max_iter
        try:
            total, count = self.passage.run(self.generator)
        except Diverged as error:
            raise self._diverged(math.nan) from error
        if not math.isfinite(total):
            raise self._diverged(total)
        return {
            "epoch": len(self.history) + 1,
            "loss": total / max(count, 1),
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
        }

    def judge(self, monitor: Callable[[nn.Module], float], epoch: int) -> float:
        """Ask the monitor and keep the weights if they are the best so far."""
        self.model.eval()
        with torch.no_grad():
            value = monitor(self.model)
        if value < self.best_value:
            self.best_value = value
            self.best_epoch = epoch
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        return value

    def advance(self, entry: dict[str, float]) -> None:
        if self.on_plateau:
            self.schedule.step(entry["validation"])
        elif self.schedule is not None:
            self.schedule.step()

    def keep_best(self) -> None:
        if self.best is not None:
            self.model.load_state_dict(self.best)
        self.model.eval()

    def save(self, checkpoint: Checkpoint) -> None:
        tensors, values = pack_optimizer(self.optimizer)
        tensors |= {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in (self.best or {}).items()}
        tensors["generator"] = self.generator.get_state()
        # what a module draws by itself, dropout say, comes from torch's own generators
        tensors["torch_generator"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["cuda_generator"] = torch.cuda.get_rng_state(self._device)
        tensors |= {f"loss.{k}": v for k, v in self.loss.state_dict().items()}
        if self.loss.generator is not None:
            tensors["loss_generator"] = self.loss.generator.get_state()
        if isinstance(self.source, StatefulSource):
            tensors |= {f"source.{k}": v for k, v in self.source.state_dict().items()}
        values |= {
            "history": self.history,
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "finished": self.finished,
            "schedule": self.schedule and self.schedule.state_dict(),
        }
        checkpoint.save(tensors, values)

    def resume(self, checkpoint: Checkpoint) -> None:
        loaded = checkpoint.load()
        if loaded is None:
            return
        tensors, values = loaded

        def part(prefix: str) -> dict[str, Any]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.best = part("best.") or None
        unpack_optimizer(self.optimizer, tensors, values)
        if self.schedule is not None:
            self.schedule.load_state_dict(values["schedule"])
        self.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["torch_generator"])
        if self._device.type == "cuda" and "cuda_generator" in tensors:
            torch.cuda.set_rng_state(tensors["cuda_generator"], self._device)
        self.loss.load_state_dict(part("loss."))
        if self.loss.generator is not None:
            self.loss.generator.set_state(tensors["loss_generator"])
        if isinstance(self.source, StatefulSource):
            self.source.load_state_dict(part("source."))
        self.history = values["history"]
        self.best_value = values["best_value"]
        self.best_epoch = values["best_epoch"]
        self.finished = values["finished"]

    def _diverged(self, value: float) -> TrainingError:
        rate = self.optimizer.param_groups[0]["lr"]
        return TrainingError(
            f"the loss became {value} in epoch {len(self.history) + 1}; "
            f"try a smaller learning_rate (got {rate:g})"
        )
