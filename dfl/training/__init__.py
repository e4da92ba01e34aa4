"""Where batches come from, and the one training loop."""

from dfl.training.checkpoint import Checkpoint as Checkpoint
from dfl.training.epoch import StopTraining as StopTraining
from dfl.training.optimizers import make_optimizer as make_optimizer
from dfl.training.shared import SharedOverItems as SharedOverItems
from dfl.training.source import Source as Source
from dfl.training.source import TableSource as TableSource
from dfl.training.train import TrainingResult as TrainingResult
from dfl.training.train import train as train

__all__ = [
    "Checkpoint",
    "SharedOverItems",
    "Source",
    "StopTraining",
    "TableSource",
    "TrainingResult",
    "make_optimizer",
    "train",
]
