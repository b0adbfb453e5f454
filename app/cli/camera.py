"""`br2net camera`: live, from cameras, streams and files to a window, a video and JSON lines."""

import json
import re
from contextlib import ExitStack
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from br2net.cli.options import BackendOption, DeviceOption, JsonOption, ModelOption, PrecisionOption, parse_size
from br2net.errors import InputError

STREAMS = 2
DEFAULT_PORT = "8080"
PORT = re.compile(r"\d{2,5}")


class PortAfterWeb(TyperCommand):
    """Lets `--web` stand alone: what follows is its port only if it has two to five digits, so `--web 0` is camera 0."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, the default port put after a `--web` without one."""
        filled: list[str] = []
        for position, text in enumerate(args):
            filled.append(text)
            following = args[position + 1] if position + 1 < len(args) else ""
            if text == "--web" and "--" not in args[:position] and not PORT.fullmatch(following):
                filled.append(DEFAULT_PORT)
        return super().parse_args(ctx, filled)


class Drop(str, Enum):
    """The buffer policies by their names on the command line."""

    oldest = "oldest"
    wait = "wait"


class Transport(str, Enum):
    """Ways of RTSP."""

    tcp = "tcp"
    udp = "udp"


class FourCC(str, Enum):
    """Formats of a USB camera."""

    MJPG = "MJPG"
    YUYV = "YUYV"


def camera(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Device number, csi://0, v4l2://…, rtsp://…, http://… (MJPEG), video, folder, GStreamer pipeline.",
        ),
    ],
    show: Annotated[bool, typer.Option("--show", help="Show a window; q ends.")] = False,
    record: Annotated[Path | None, typer.Option(metavar="FILE", help="Record the overlay: .mp4 or .mkv.")] = None,
    jsonl: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a line of JSON for each frame.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N frames.")] = None,
    drop: Annotated[
        Drop | None, typer.Option(help="When frames come too fast: drop the oldest (live), or wait (files).")
    ] = None,
    smooth: Annotated[float, typer.Option(metavar="SECONDS", help="Smooth maps over time: time constant.")] = 0.0,
    region: Annotated[
        list[str] | None, typer.Option(metavar="NAME=X,Y,W,H", help="Report this part too; in fractions or pixels.")
    ] = None,
    alert: Annotated[
        list[str] | None, typer.Option(metavar="EXPR", help='Tell when, as "blurred[NAME] > 0.6 for 2s until 0.5".')
    ] = None,
    events: Annotated[Path | None, typer.Option(metavar="FILE", help="Append alerts going on and off as JSON.")] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="POST them as JSON.")] = None,
    mqtt: Annotated[str | None, typer.Option(metavar="URL", help="Publish them: mqtt://host/topic.")] = None,
    alert_images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a picture whenever an alert goes on.")
    ] = None,
    web: Annotated[
        int | None, typer.Option("--web", metavar="[PORT]", help="Serve a page to watch; port 8080 if none is given.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the page: 127.0.0.1; others need a token.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="BR2NET_TOKEN", metavar="TEXT", help="The page asks for it; 16 or more letters."),
    ] = None,
    recordings: Annotated[Path, typer.Option(metavar="DIR", help="Where the page's record button writes.")] = Path(),
    peaking: Annotated[bool, typer.Option("--peaking", help="Mark edges that are in focus.")] = False,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size of the frames, before turning.")] = None,
    fps: Annotated[float | None, typer.Option(metavar="N", help="Frames a second, at most.")] = None,
    rotate: Annotated[int, typer.Option(metavar="DEGREES", help="Turn clockwise by 90, 180 or 270.")] = 0,
    transport: Annotated[Transport, typer.Option(help="Of RTSP.")] = Transport.tcp,
    fourcc: Annotated[FourCC | None, typer.Option(help="Format to ask of a USB camera.")] = None,
    model: ModelOption = "mobile",
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    input_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Input size of the model, multiples of 32.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is out of focus, live.

    Captures, computes and writes at the same time, until the source ends, N frames are done, or Ctrl-C. A camera that is lost
    is opened again until it is back. At the end it tells how many frames there were, how fast, what was dropped, and
    the latency from capture to the sinks; with --json as one object.
    """
    import cv2
    from rich.console import Console

    from br2net.cli.status import StatusLine, forward_warnings, stopped_by_signals, summary_facts, summary_text, tell
    from br2net.detector import Detector
    from br2net.live.assembly import AlertOptions, SinkOptions, check_outputs, open_sinks, opened_alerts
    from br2net.live.camera import BufferPolicy, CameraOptions, make_cameras
    from br2net.live.pipeline import Pipeline, PipelineOptions, parse_region
    from br2net.live.sinks import Drawing
    from br2net.live.web import WebOptions, WebPage
    from br2net.runtime.images import quiet_opencv

    if host is not None and web is None:
        raise InputError("--host is the address of the page; ask for the page with --web.")
    page = None if web is None else WebOptions(host or "127.0.0.1", web, token or None)
    sink_options = SinkOptions(show, record, jsonl, alert_images, page, recordings)
    alert_options = AlertOptions(tuple(alert or ()), events, webhook, mqtt)
    check_outputs(sources, sink_options, alert_options)
    policy = None if drop is None else BufferPolicy(drop.value)
    code = None if fourcc is None else fourcc.value
    cameras = make_cameras(sources, CameraOptions(policy, parse_size(size), fps, rotate, transport.value, fourcc=code))
    regions = tuple(parse_region(text) for text in region or ())
    waits = all(item.policy is BufferPolicy.WAIT for item in cameras)
    console = Console(stderr=True)
    notice = partial(tell, console)
    with ExitStack() as stack:
        stack.enter_context(quiet_opencv())  # a source that fails is reported once, by this command
        stack.enter_context(forward_warnings(notice))
        alerts = stack.enter_context(opened_alerts(alert_options, regions))
        pipeline_options = PipelineOptions(smooth, regions, alerts)
        detector = stack.enter_context(
            Detector.load(
                model,
                backend=backend,
                device=device,
                precision=precision,
                size=parse_size(input_size),
                streams=STREAMS if waits else 1,  # throughput where nobody waits for a frame, else latency
            )
        )
        if detector.backend.device == "CPU":
            # all cores are at inference: OpenCV's own threads would only get in its way
            stack.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(1)
        for item in cameras:
            stack.callback(item.close)
        pipeline = Pipeline(cameras, detector.backend, pipeline_options, notice=notice)
        sinks = open_sinks(sink_options, pipeline, Drawing(peaking=peaking, regions=regions), alerts)
        for sink in sinks:
            if isinstance(sink, WebPage):
                notice(f"watch at {sink.url}" + (" with the token" if token else ""))
        if console.is_terminal:
            sinks.append(StatusLine(console, pipeline))
        with stopped_by_signals(pipeline.stop):
            summary = pipeline.run(sinks, max_frames)
    typer.echo(json.dumps(summary_facts(summary)) if as_json else summary_text(summary))
