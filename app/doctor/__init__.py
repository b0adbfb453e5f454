"""Checks of GPU, libraries, cameras and video on this machine, with one line that fixes each thing that fails."""

from br2net.doctor.checks import examine
from br2net.doctor.finding import Finding, State
from br2net.doctor.machine import Machine

__all__ = ["Finding", "Machine", "State", "examine"]
