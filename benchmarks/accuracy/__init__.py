"""Accuracy: figures by the definitions of the field, and a page that shows them."""

from br2net.benchmarks.accuracy.evaluation import Evaluation, evaluate
from br2net.benchmarks.accuracy.report import ReportSubject, write_report
from br2net.benchmarks.accuracy.sharp_check import SharpCheck, check_sharp
from br2net.datasets.metrics import AccuracyMeter, Curves, ImageFigures, Summary

__all__ = [
    "AccuracyMeter",
    "Curves",
    "Evaluation",
    "ImageFigures",
    "ReportSubject",
    "SharpCheck",
    "Summary",
    "check_sharp",
    "evaluate",
    "write_report",
]
