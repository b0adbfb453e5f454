"""The step between pipeline and sinks that knows of alerts."""

from collections.abc import Sequence
from dataclasses import replace

from br2net.runtime.alerts.event import AlertEvent, EventTarget
from br2net.runtime.alerts.monitor import AlertMonitor
from br2net.runtime.pipeline.result import FrameResult


class Alerts:
    """Puts the alerts that are on into each result, and tells every target of the events. Owns the targets."""

    def __init__(self, monitor: AlertMonitor, targets: Sequence[EventTarget] = ()) -> None:
        self.monitor = monitor
        self.targets = tuple(targets)

    def apply(self, result: FrameResult) -> FrameResult:
        """The result with `alerts` filled in; events at it have been sent when this returns.

        Raises:
            InputError: if a rule names a region that the result does not have.
        """
        events: tuple[AlertEvent, ...] = self.monitor.update(result)
        for event in events:
            for target in self.targets:
                target.send(event)
        active = self.monitor.active(result.camera)
        return replace(result, alerts=active) if active else result

    def close(self) -> None:
        """Close all targets."""
        for target in self.targets:
            target.close()
