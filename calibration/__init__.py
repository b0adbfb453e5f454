"""Calibration sets and INT8 Q/DQ: not there yet."""
