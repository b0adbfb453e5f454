"""Metrics for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from br2net import __version__
from br2net.live.alerts import AlertEvent
from br2net.live.pipeline.result import FrameResult
from br2net.live.web.hub import Hub
from br2net.live.web.options import PageInfo
from br2net.live.web.packets import STAGES

LATENCY_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counts results and events as they come, and asks hub, targets and sources when it is read."""

    def __init__(self, info: PageInfo, hub: Hub) -> None:
        self._info, self._hub = info, hub
        self._registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"br2net_{name}", text, labels, registry=self._registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"br2net_{name}", text, labels, registry=self._registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"br2net_{name}", text, labels, buckets=LATENCY_BUCKETS_S, registry=self._registry)

        facts = Info("br2net", "Version and model.", registry=self._registry)
        facts.info({"version": __version__, "model": info.model, "backend": info.backend})
        self._frames = counter("frames", "Frames that went through the pipeline.", "camera")
        self._blurred = gauge("blurred_fraction", "Share of the newest frame that is blurred, 0 to 1.", "camera")
        self._region = gauge("region_blurred_fraction", "The same of one region.", "camera", "region")
        self._region_sharpness = gauge("region_sharpness", "Focus score of one region.", "camera", "region")
        self._sharpness = gauge("sharpness", "Focus score of the newest frame.", "camera")
        self._newest = gauge("last_frame_timestamp_seconds", "When the newest frame was captured.", "camera")
        self._latency = histogram("latency_seconds", "From capture to sink.", "camera")
        self._stage = histogram("stage_seconds", "Time in one stage of the pipeline.", "camera", "stage")
        self._alert_on = gauge("alert_on", "1 while the alert is on.", "camera", "alert")
        self._alert_events = counter("alert_events", "Alerts that went on or off.", "camera", "alert", "state")
        for camera in info.cameras:
            self._frames.labels(camera)
            for rule in info.rules:
                self._alert_on.labels(camera, rule.text)
        self._registry.register(_Gathered(info, hub))

    def count(self, result: FrameResult) -> None:
        """Count one result."""
        camera = result.camera
        self._frames.labels(camera).inc()
        self._blurred.labels(camera).set(result.blurred_fraction)
        for region, value in result.regions.items():
            self._region.labels(camera, region).set(value)
        for region, value in result.region_sharpness.items():
            self._region_sharpness.labels(camera, region).set(value)
        self._sharpness.labels(camera).set(result.sharpness)
        self._newest.labels(camera).set(result.timestamp)
        self._latency.labels(camera).observe(result.latency_ms / 1000)
        for stage in STAGES:
            self._stage.labels(camera, stage).observe(getattr(result.stages, stage) / 1000)

    def count_event(self, event: AlertEvent) -> None:
        """Count one event."""
        self._alert_on.labels(event.camera, event.alert).set(event.state == "on")
        self._alert_events.labels(event.camera, event.alert, event.state).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Gathered:
    """Metrics that are kept elsewhere, gathered when they are read."""

    def __init__(self, info: PageInfo, hub: Hub) -> None:
        self._info, self._hub = info, hub

    def collect(self) -> Iterator[Metric]:
        hub, recorder = self._hub, self._info.recorder
        recording = recorder is not None and recorder.recording is not None
        yield GaugeMetricFamily("br2net_viewers", "Open pages.", value=len(hub.viewers))
        yield GaugeMetricFamily("br2net_recording", "1 while frames are recorded.", value=int(recording))
        frames = CounterMetricFamily("br2net_viewer_frames", "Frames for viewers, by their fate.", labels=["fate"])
        for fate, number in (("encoded", hub.encoded), ("sent", hub.sent), ("passed_by", hub.lost)):
            frames.add_metric([fate], number)
        yield frames
        events = CounterMetricFamily(
            "br2net_delivered_events", "Events given to a target, by their fate.", labels=["target", "fate"]
        )
        waiting = GaugeMetricFamily("br2net_waiting_events", "Events not delivered yet.", labels=["target"])
        for target in self._info.targets:
            counts = target.counts
            for fate in ("sent", "failed", "dropped"):
                events.add_metric([target.name, fate], getattr(counts, fate))
            waiting.add_metric([target.name], counts.waiting)
        yield from (events, waiting)
        source = CounterMetricFamily(
            "br2net_source_frames", "Frames of a source, by their fate.", labels=["camera", "fate"]
        )
        reconnects = CounterMetricFamily("br2net_source_reconnects", "Lost sources that came back.", labels=["camera"])
        for camera, statistics in self._info.statistics().items():
            for fate in ("captured", "dropped", "skipped", "thinned", "damaged"):
                source.add_metric([camera, fate], getattr(statistics, fate))
            reconnects.add_metric([camera], statistics.reconnects)
        yield from (source, reconnects)
