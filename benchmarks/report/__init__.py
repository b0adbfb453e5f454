"""Shared parts of the reports: a page layout with one style sheet, and SVG drawings that it colours."""

from br2net.benchmarks.report.canvas import Canvas, Scale, legend
from br2net.benchmarks.report.page import render, style

__all__ = ["Canvas", "Scale", "legend", "render", "style"]
