"""The frame pipeline: from cameras through one model to sinks."""

from br2net.live.pipeline.focus import sharpness
from br2net.live.pipeline.options import AlertJudge, PipelineOptions
from br2net.live.pipeline.peaking import focus_peaking
from br2net.live.pipeline.pipeline import Pipeline
from br2net.live.pipeline.regions import Region, parse_region
from br2net.live.pipeline.result import FrameResult, StageTimes
from br2net.live.pipeline.summary import Summary

__all__ = [
    "AlertJudge",
    "FrameResult",
    "Pipeline",
    "PipelineOptions",
    "Region",
    "StageTimes",
    "Summary",
    "focus_peaking",
    "parse_region",
    "sharpness",
]
