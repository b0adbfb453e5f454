"""Measurements to run by hand from the repository, `python -m benchmarks.scripts.NAME`. Not part of the installed package."""
