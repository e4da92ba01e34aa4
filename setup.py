"""Say where the three packages lie; metadata and tool settings are in setup.cfg."""

from setuptools import find_packages, setup

ROOTS = {"dfl": ".", "dfl_solvers": "solvers", "dfl_experiments": "experiments"}

setup(
    packages=[
        package
        for name, root in ROOTS.items()
        for package in find_packages(root, include=[name, f"{name}.*"])
    ],
    package_dir={name: f"{root}/{name}" for name, root in ROOTS.items()},
)
