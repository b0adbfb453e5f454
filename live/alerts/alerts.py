"""What the pipeline asks about each result: which alerts are on."""

import threading
from collections.abc import Sequence

from br2net.live.alerts.event import AlertEvent, EventTarget
from br2net.live.alerts.monitor import AlertMonitor
from br2net.live.pipeline.result import FrameResult
from br2net.runtime.postprocessing import Wanted


class Alerts:
    """Judges results by the rules, and tells every target of the events. Owns the targets. An `AlertJudge`."""

    wanted = Wanted.FRACTION  # of regions as well, for which the pipeline makes the map

    def __init__(self, monitor: AlertMonitor, targets: Sequence[EventTarget] = ()) -> None:
        self.monitor = monitor
        self.targets = tuple(targets)
        self._others: list[EventTarget] = []

    def tell_also(self, target: EventTarget) -> None:
        """Have another target told of events from now on; whoever made it closes it."""
        self._others.append(target)

    def judge(self, result: FrameResult) -> tuple[str, ...]:
        """Texts of the alerts that are on at `result`; events at it have been sent when this returns.

        Raises:
            InputError: if a rule names a region that the result does not have.
        """
        events: tuple[AlertEvent, ...] = self.monitor.update(result)
        for event in events:
            for target in (*self.targets, *self._others):
                target.send(event)
        return self.monitor.active(result.camera)

    def close(self) -> None:
        """Close the targets that it owns, all at the same time, since each may take a moment."""
        closing = [threading.Thread(target=target.close) for target in self.targets]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
