"""The plots of the runtime report."""

from br2net.benchmarks.latency.plots.accuracy import speed_accuracy
from br2net.benchmarks.latency.plots.distributions import distributions
from br2net.benchmarks.latency.plots.roofs import roofline
from br2net.benchmarks.latency.plots.stages import stage_bars
from br2net.benchmarks.latency.plots.sweeps import sweep_bars

__all__ = ["distributions", "roofline", "speed_accuracy", "stage_bars", "sweep_bars"]
