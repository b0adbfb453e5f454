"""The frame pipeline: from cameras through one model to sinks."""

from br2net.runtime.pipeline.focus import sharpness
from br2net.runtime.pipeline.options import AlertJudge, PipelineOptions
from br2net.runtime.pipeline.peaking import focus_peaking
from br2net.runtime.pipeline.pipeline import Pipeline
from br2net.runtime.pipeline.regions import Region, parse_region
from br2net.runtime.pipeline.result import FrameResult, StageTimes
from br2net.runtime.pipeline.summary import Summary

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
