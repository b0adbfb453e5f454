"""The frame pipeline: from cameras through one model to sinks."""

from br2net.runtime.pipeline.result import FrameResult, StageTimes

__all__ = ["FrameResult", "StageTimes"]
