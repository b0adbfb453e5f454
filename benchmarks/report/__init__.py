"""What the reports share: one style sheet, and plots that it colours."""

from br2net.benchmarks.report.page import style, table

__all__ = ["style", "table"]
