"""Print requirements: the core at its lowest versions, torch as it is pinned, and pytest."""

import configparser
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
config = configparser.ConfigParser()
config.read(ROOT / "setup.cfg")
pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
for line in config["options"]["install_requires"].split():
    name, lowest = re.fullmatch(r"([\w.-]+)>=([\w.]+)", line).groups()
    sys.stdout.write(f"{name}=={pins['torch'] if name == 'torch' else lowest}\n")
for name in ("pytest", "pytest-timeout"):  # of the tests, not of the library
    sys.stdout.write(f"{name}=={pins[name]}\n")
