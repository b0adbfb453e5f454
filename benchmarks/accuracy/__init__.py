"""Accuracy of a model on photographs with masks, and a page that shows it."""

from br2net.benchmarks.accuracy.evaluation import Evaluation, evaluate
from br2net.benchmarks.accuracy.report import ReportSubject, write_report
from br2net.benchmarks.accuracy.sharp_check import SharpCheck, check_sharp

__all__ = ["Evaluation", "ReportSubject", "SharpCheck", "check_sharp", "evaluate", "write_report"]
