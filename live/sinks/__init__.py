"""Sinks of results: files, a window, pictures of alerts."""

from br2net.live.pipeline import Sink
from br2net.live.sinks.drawing import AlertImages, Drawing
from br2net.live.sinks.jsonl import JsonLinesSink
from br2net.live.sinks.video import Recorder, VideoSink
from br2net.live.sinks.window import WindowSink

__all__ = ["AlertImages", "Drawing", "JsonLinesSink", "Recorder", "Sink", "VideoSink", "WindowSink"]
