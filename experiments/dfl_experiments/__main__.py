"""``python -m dfl_experiments`` is the command ``dfl``."""

import sys

from dfl_experiments.cli import main

if __name__ == "__main__":
    sys.exit(main())
