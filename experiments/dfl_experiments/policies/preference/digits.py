"""Handwritten digits: a small diffusion model is to draw those with a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import PositiveInt

from dfl_experiments.policies.preference.base import AbstractDiffusionStudy
from dfl_experiments.policies.preference.methods import (
    DDPO,
    BestOfN,
    DiffusionDPO,
    Guidance,
    Stepwise,
    Untuned,
)
from dfl_experiments.policies.preference.verdict import verdict
from dfl_experiments.policies.study import Score

if TYPE_CHECKING:
    from torch import Tensor

    from dfl.rl.preference.tasks import DigitTask


# images of a method that are kept, and drawn
_SHOWN = 16


@final
class DigitStudy(AbstractDiffusionStudy):
    """Draw 0, 6, 8 and 9, rewarded by a linear classifier, judged by a forest."""

    scores: ClassVar[Mapping[str, Score]] = {
        "judge": Score("held-out judge: share wanted"),
        "gain": Score("gain of the judge, in standard deviations of the untuned model's samples"),
        "reward": Score("reward: log-probability of a wanted digit"),
        "divergence": Score("divergence of the path, nats", "lower"),
        "distance": Score("distance of two samples, share of the untuned model's"),
        "entropy": Score("entropy of the wanted digits, share of the untuned model's"),
        "precision": Score("samples within reach of a real image"),
        "chosen": Score("reward, less divergence above the limit"),
    }
    accepts = (Untuned, Stepwise, DiffusionDPO, DDPO, BestOfN, Guidance)

    kind: Literal["digits"]
    queries: PositiveInt = 36_864
    wanted: tuple[int, ...] = (0, 6, 8, 9)
    """Digits."""
    epochs: PositiveInt = 200
    """Of training the model that is tuned."""
    channels: PositiveInt = 16
    """Of its network."""

    def task(self) -> DigitTask:
        """Train the model, the reward and the judge, once in a process."""
        from dfl.rl.preference.tasks import make_digit_task

        return make_digit_task(
            self.wanted,
            max_iter=self.epochs,
            channels=self.channels,
            random_state=self.base_seed,
        )

    def scored(self, samples: Tensor, divergence: float, seed: int) -> dict[str, float]:
        """Judge samples beside those of the untuned model from the same noise."""
        task = self.task()
        untuned, _ = self._sampled(task.denoiser, seed)
        before, judged = task.measures(untuned), task.judge(untuned)
        found = super().scored(samples, divergence, seed)
        found["gain"] = (found["judge"] - before["judge"]) / float(judged.std())
        return {**found, **{name: found[name] / before[name] for name in ("distance", "entropy")}}

    def shown(self, samples: Tensor) -> dict[str, Any]:
        """Keep a few images, as whole numbers from -128 to 127."""
        kept = (samples[:_SHOWN, 0] * 127).round().clamp(-128, 127).int()
        return {"images": kept.tolist()}

    def files(self, cells: Sequence[tuple[str, int, Mapping[str, Any]]]) -> dict[str, bytes]:
        """Draw what each method draws from the same noise, of the first seed; say what it shows."""
        from dfl_experiments.report import new_figure, png_bytes

        first = min(seed for _, seed, _ in cells)
        rows = {name: each["shown"]["images"] for name, seed, each in cells if seed == first}
        columns = max(len(images) for images in rows.values())
        figure, panels = new_figure(len(rows), columns, 0.5, 0.5)
        figure.set_size_inches(0.5 * columns + 2, 0.5 * len(rows))
        for line, (name, images) in zip(panels, rows.items(), strict=True):
            for panel, image in zip(line, images, strict=False):
                panel.imshow(image, cmap="gray_r", vmin=-128, vmax=127)
            for panel in line:
                panel.set(xticks=[], yticks=[])
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        said = "\n".join(f"- {line}" for line in verdict(cells, self.divergence_limit))
        return {"samples.png": png_bytes(figure), "verdict.md": f"{said}\n".encode()}
