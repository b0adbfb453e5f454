"""Folder map: each folder at the root is the package `br2net.<folder>`; `app/` is `br2net` itself."""

from setuptools import find_packages, setup

FOLDERS = {
    "br2net": "app",
    "br2net.network": "network",
    "br2net.training": "training",
    "br2net.calibration": "calibration",
    "br2net.builder": "builder",
    "br2net.runtime": "runtime",
    "br2net.benchmarks": "benchmarks",
}

package_dir = dict(FOLDERS)
for package, folder in FOLDERS.items():
    for subpackage in find_packages(folder):
        package_dir[f"{package}.{subpackage}"] = f"{folder}/{subpackage.replace('.', '/')}"

setup(packages=list(package_dir), package_dir=package_dir)
