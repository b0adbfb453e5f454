"""Many images: folders, patterns, videos and Parquet, on this machine or on a Ray cluster, into Parquet that resumes."""

from br2net.bulk.options import BulkOptions, ClusterOptions, ModelChoice
from br2net.bulk.run import Summary, run_bulk

__all__ = ["BulkOptions", "ClusterOptions", "ModelChoice", "Summary", "run_bulk"]
