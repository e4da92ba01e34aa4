"""Who says what images of digits are worth: a reward, a judge, and the distance to real ones."""

from __future__ import annotations

from typing import Any, final

import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError

# neighbors whose distance says how far a real image reaches
_NEIGHBORS = 3


@final
class DigitReward(nn.Module):
    """Log-probability that an image shows one of the wanted digits, by a linear classifier.

    Logistic regression on pixels: cheap, differentiable, and easily deceived, as learned rewards
    are.

    Parameters
    ----------
    images : ndarray of shape (n, 64)
        What it learns from, from -1 to 1.
    labels : ndarray of int of shape (n,)
        Digits that the images show.
    wanted : tuple of int
        Digits.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from dfl.rl.preference.tasks import DigitReward
    >>> data = load_digits()
    >>> reward = DigitReward(data.data / 8 - 1, data.target, wanted=(0,))
    >>> zero, one = torch.tensor(data.images[:2] / 8 - 1, dtype=torch.float32)[:, None]
    >>> bool(reward(zero[None]) > reward(one[None]))
    True
    """

    def __init__(self, images: Any, labels: Any, wanted: tuple[int, ...]) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        # strongly regularized, so that values vary with what an image shows and not only its noise
        known = LogisticRegression(C=0.1, max_iter=1000).fit(images, labels)
        self.wanted = wanted
        self.register_buffer("weight", torch.as_tensor(known.coef_, dtype=torch.float32))
        self.register_buffer("bias", torch.as_tensor(known.intercept_, dtype=torch.float32))

    def forward(
        self, samples: Tensor, times: Tensor | None = None, conditions: Any = None
    ) -> Tensor:
        """Return what images (n, 1, 8, 8) are worth, (n,), at most zero."""
        del times, conditions
        logits = samples.flatten(1) @ self.weight.to(samples).T + self.bias.to(samples)
        return torch.log_softmax(logits, 1)[:, list(self.wanted)].logsumexp(1)


@final
class DigitJudge:
    """Judge images by what the reward has not seen: a forest, grown on other images.

    Parameters
    ----------
    images : ndarray of shape (n, 64)
        What the forest learns from, from -1 to 1.
    labels : ndarray of int of shape (n,)
        Digits that the images show.
    wanted : tuple of int
        Digits.
    random_state : int
        Seeds the forest.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from dfl.rl.preference.tasks import DigitJudge
    >>> data = load_digits()
    >>> judge = DigitJudge(data.data[2:] / 8 - 1, data.target[2:], wanted=(0,), random_state=0)
    >>> (judge(torch.tensor(data.images[:2] / 8 - 1)[:, None]) > 0.5).tolist()
    [True, False]
    """

    def __init__(
        self, images: Any, labels: Any, wanted: tuple[int, ...], random_state: int
    ) -> None:
        self.forest = RandomForestClassifier(300, min_samples_leaf=2, random_state=random_state)
        self.forest.fit(images, labels)
        self.wanted = wanted

    def probabilities(self, samples: Tensor) -> Tensor:
        """Return how likely each digit is, (n, 10), for images (n, 1, 8, 8)."""
        return torch.from_numpy(self.forest.predict_proba(flat(samples)))

    def __call__(self, samples: Tensor) -> Tensor:
        """Return how likely each image shows one of the wanted digits, (n,)."""
        return self.probabilities(samples)[:, list(self.wanted)].sum(1)


def precision(samples: Tensor, real: Tensor) -> float:
    """Return the share of samples that lie within reach of a real image.

    Parameters
    ----------
    samples : Tensor of shape (n, ...)
        Images to judge.
    real : Tensor of shape (m, ...)
        More than three; each reaches as far as the third nearest of the others.

    Returns
    -------
    float
        A share from 0 to 1.

    References
    ----------
    Kynkäänniemi, Karras, Laine, Lehtinen & Aila, "Improved Precision and Recall Metric for
    Assessing Generative Models", NeurIPS 2019, arXiv 1904.06991.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference.tasks import precision
    >>> precision(torch.tensor([[3.5], [9.0]]), torch.arange(5.0)[:, None])
    0.5
    """
    known, found = (torch.from_numpy(flat(each)) for each in (real, samples))
    if len(known) <= _NEIGHBORS:
        raise InvalidInputError(
            f"got {len(known)} real images, expected more than {_NEIGHBORS}, the neighbors that "
            "say how far each reaches"
        )
    reach = torch.cdist(known, known).kthvalue(_NEIGHBORS + 1, dim=1).values  # one is itself
    return float((torch.cdist(found, known) <= reach).any(1).double().mean())


def flat(samples: Tensor) -> Any:
    """Return samples as rows of float64 on the CPU."""
    return samples.detach().cpu().double().flatten(1).numpy()
