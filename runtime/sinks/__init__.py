"""Where results go: files, a window, whatever has `write` and `close`."""

from br2net.runtime.sinks.drawing import Drawing
from br2net.runtime.sinks.images import AlertImages
from br2net.runtime.sinks.jsonl import JsonLinesSink
from br2net.runtime.sinks.sink import Sink
from br2net.runtime.sinks.video import Recorder, VideoSink
from br2net.runtime.sinks.window import WindowSink

__all__ = ["AlertImages", "Drawing", "JsonLinesSink", "Recorder", "Sink", "VideoSink", "WindowSink"]
