"""What of GPU, libraries, cameras and video works on this machine, and the one line that mends each thing that does not."""

from br2net.doctor.examination import examine
from br2net.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine"]
