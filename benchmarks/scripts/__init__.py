"""Measurements to run by hand from the repository root: `python -m benchmarks.scripts.NAME`. Not part of the package."""
