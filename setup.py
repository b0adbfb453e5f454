"""Folder map: each folder at the root is the package `br2net.<folder>`; `app/` is `br2net` itself."""

from setuptools import find_packages, setup

STAGES = ("network", "training", "calibration", "builder", "runtime", "benchmarks")

packages = ["br2net"]
package_dir = {"br2net": "app"}
for subpackage in find_packages("app"):
    packages.append(f"br2net.{subpackage}")
    package_dir[f"br2net.{subpackage}"] = "app/" + subpackage.replace(".", "/")
for stage in STAGES:
    package_dir[f"br2net.{stage}"] = stage
    packages.append(f"br2net.{stage}")
    packages += [f"br2net.{stage}.{subpackage}" for subpackage in find_packages(stage)]

setup(packages=packages, package_dir=package_dir)
