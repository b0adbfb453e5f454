"""Alerts and sinks of a pipeline, put together from options: what `br2net camera` does, for Python.

Example:
    >>> cameras = make_cameras(["rtsp://192.168.0.7/stream"], CameraOptions(fps=10))
    >>> with Detector.load("mobile") as detector, opened_alerts(AlertOptions(("blurred > 0.6 for 2s",))) as alerts:
    ...     pipeline = Pipeline(cameras, detector.backend, PipelineOptions(alerts=alerts))
    ...     pipeline.run(open_sinks(SinkOptions(jsonl=Path("out.jsonl"), page=WebOptions()), pipeline, alerts=alerts))
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from br2net.errors import InputError
from br2net.live.alerts import AlertMonitor, Alerts, EventLog, EventTarget, MqttPublisher, Webhook, parse_rules
from br2net.live.pipeline import Pipeline, Region
from br2net.live.sinks import AlertImages, Drawing, JsonLinesSink, Recorder, Sink, VideoSink, WindowSink
from br2net.live.web import PageInfo, WebOptions, WebPage


@dataclass(frozen=True)
class AlertOptions:
    """Alerts, and where their events go.

    Attributes:
        rules: expressions, such as `blurred > 0.6 for 2s`.
        events: file for the events as JSON lines.
        webhook, mqtt: addresses for the events.

    Raises:
        InputError: if there is a target and no rule.
    """

    rules: tuple[str, ...] = ()
    events: Path | None = None
    webhook: str | None = None
    mqtt: str | None = None

    def __post_init__(self) -> None:
        for name in ("events", "webhook", "mqtt"):
            if getattr(self, name) is not None and not self.rules:
                raise InputError(f'{name} needs an alert to report. Add one, such as --alert "blurred > 0.6 for 2s".')


@dataclass(frozen=True)
class SinkOptions:
    """Where results go.

    Attributes:
        show: True if a window is opened; q ends the run.
        record: video file of the drawing.
        jsonl: file of a JSON line for each frame.
        alert_images: folder of a picture of each alert.
        page: options of the page; None for no page.
        recordings: folder of the videos that the page's record button starts.

    """

    show: bool = False
    record: Path | None = None
    jsonl: Path | None = None
    alert_images: Path | None = None
    page: WebOptions | None = None
    recordings: Path = Path()


def check_outputs(sources: Sequence[str], sinks: SinkOptions, alerts: AlertOptions) -> None:
    """Refuse outputs that are in each other's way or in that of the sources.

    Raises:
        InputError: if an output is a source, two outputs are one file, or a file stands where a folder must be.
    """
    files: list[Path] = []
    for path in (sinks.record, sinks.jsonl, alerts.events):
        if path is None or (path.exists() and not path.is_file()):
            continue
        if path.is_file() and any(path.resolve() == Path(source).resolve() for source in sources):
            raise InputError(f"{path} is a source; write to another file.")
        if path.resolve() in files:
            raise InputError(f"{path} is named for two outputs; give each its own file.")
        files.append(path.resolve())
    for folder in (sinks.alert_images, sinks.recordings if sinks.page is not None else None):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; name a folder.")


@contextmanager
def opened_alerts(options: AlertOptions, regions: Sequence[Region] = ()) -> Iterator[Alerts | None]:
    """Open the alerts with their targets, and close them at the end of the block; None if there is no rule.

    Raises:
        InputError: if an expression, address or file cannot be used.
    """
    if not options.rules:
        yield None
        return
    monitor = AlertMonitor(parse_rules(options.rules, [region.name for region in regions]))
    targets: list[tuple[Callable[[Any], EventTarget], Any]] = [
        (EventLog, options.events),
        (Webhook, options.webhook),
        (MqttPublisher, options.mqtt),
    ]
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(open_(place))) for open_, place in targets if place is not None]
        yield stack.enter_context(closing(Alerts(monitor, opened)))


def open_sinks(
    options: SinkOptions, pipeline: Pipeline, drawing: Drawing | None = None, alerts: Alerts | None = None
) -> list[Sink]:
    """Open the sinks of a pipeline, for its `run`, which closes them; a page serves from now on.

    Args:
        options: choice of sinks.
        pipeline: whose results they take.
        drawing: picture that is recorded and shown; the overlay if None.
        alerts: those of the pipeline, whose rules and events the page shows.

    Raises:
        InputError: if a file, a window or the page cannot be opened.
        MissingDependencyError: if the page needs packages that are not installed.
    """
    drawing = drawing or Drawing()
    cameras = {camera.name: camera for camera in pipeline.cameras}
    sinks: list[Sink] = []

    def rate_of(name: str) -> float:
        return cameras[name].rate

    with ExitStack() as unfinished:

        def add(sink: Sink) -> None:
            sinks.append(unfinished.enter_context(closing(sink)))

        if options.show:
            add(WindowSink(drawing, pipeline.stop))
        if options.record is not None:
            add(VideoSink(options.record, drawing, rate_of))
        if options.jsonl is not None:
            add(JsonLinesSink(options.jsonl))
        if options.alert_images is not None:
            add(AlertImages(options.alert_images, drawing))
        if options.page is not None:
            recorder = Recorder(options.recordings, drawing, rate_of)
            add(recorder)
            add(_open_page(options.page, pipeline, alerts, recorder))
        unfinished.pop_all()
    return sinks


def _open_page(options: WebOptions, pipeline: Pipeline, alerts: Alerts | None, recorder: Recorder) -> WebPage:
    backend = pipeline.backend
    info = PageInfo(
        cameras=tuple(camera.name for camera in pipeline.cameras),
        model=backend.metadata.name,
        backend=", ".join((backend.name, backend.device, backend.precision)),
        rules=alerts.monitor.rules if alerts else (),
        targets=alerts.targets if alerts else (),
        recorder=recorder,
        statistics=lambda: {camera.name: camera.statistics for camera in pipeline.cameras},
    )
    page = WebPage(info, options)
    if alerts is not None:
        alerts.tell_also(page)
    return page
