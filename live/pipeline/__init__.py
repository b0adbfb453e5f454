"""The frame pipeline: from cameras through one model to sinks."""

from br2net.live.pipeline.focus import focus_peaking, sharpness
from br2net.live.pipeline.options import AlertJudge, PipelineOptions, Region, parse_region
from br2net.live.pipeline.pipeline import Pipeline
from br2net.live.pipeline.result import FrameResult, Sink, StageTimes
from br2net.live.pipeline.summary import Summary

__all__ = [
    "AlertJudge",
    "FrameResult",
    "Pipeline",
    "PipelineOptions",
    "Region",
    "Sink",
    "StageTimes",
    "Summary",
    "focus_peaking",
    "parse_region",
    "sharpness",
]
