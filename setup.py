"""The package list: `kernels/` stands at the top of the repository and installs as `numtorch.kernels`."""
from setuptools import find_packages, setup

PARTS = {"numtorch": "numtorch", "numtorch.kernels": "kernels"}
packages = [f"{name}.{sub}" if sub else name
            for name, folder in PARTS.items() for sub in ("", *find_packages(folder))]
setup(package_dir=PARTS, packages=packages)
