"""Photographs paired with masks, the layouts of published data sets, and the accuracy metrics."""
