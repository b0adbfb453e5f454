"""From results to events: the state of each rule for each camera, and the targets of its events."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from br2net.live.alerts.events import AlertEvent, EventTarget, State
from br2net.live.alerts.rules import AlertRule
from br2net.live.pipeline.result import FrameResult
from br2net.runtime.postprocessing import Wanted


@dataclass
class _RuleState:
    since: float | None = None  # when the comparison began to hold
    on: bool = False


class AlertMonitor:
    """Watches results of any number of cameras; an alert goes on once, and off once. Used by one thread.

    Time is that of the frames, so that a file gives the same events however fast it is read. Between two frames a
    comparison is taken to hold on.
    """

    def __init__(self, rules: Sequence[AlertRule]) -> None:
        self.rules = tuple(rules)
        self._states: dict[str, list[_RuleState]] = {}

    def update(self, result: FrameResult) -> tuple[AlertEvent, ...]:
        """Return the events that happen at this result, mostly none.

        Raises:
            InputError: if a rule names a region that the result does not have.
        """
        states = self._states.setdefault(result.camera, [_RuleState() for _ in self.rules])
        events = (_step(rule, state, result) for rule, state in zip(self.rules, states, strict=True))
        return tuple(event for event in events if event is not None)

    def active(self, camera: str) -> tuple[str, ...]:
        """Return the texts of the alerts that are on for `camera`, in the order of the rules."""
        states = self._states.get(camera, [])
        return tuple(rule.text for rule, state in zip(self.rules, states, strict=False) if state.on)


class Alerts:
    """Judges results by the rules, and sends the events to every target. Owns the targets. An `AlertJudge`."""

    wanted = Wanted.FRACTION  # regions need the map as well; the pipeline adds it for them

    def __init__(self, monitor: AlertMonitor, targets: Sequence[EventTarget] = ()) -> None:
        self.monitor = monitor
        self.targets = tuple(targets)
        self._others: list[EventTarget] = []

    def tell_also(self, target: EventTarget) -> None:
        """Send events to another target from now on; the caller closes it."""
        self._others.append(target)

    def judge(self, result: FrameResult) -> tuple[str, ...]:
        """Return the texts of the alerts that are on at `result`, after its events have been sent.

        Raises:
            InputError: if a rule names a region that the result does not have.
        """
        for event in self.monitor.update(result):
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


def _step(rule: AlertRule, state: _RuleState, result: FrameResult) -> AlertEvent | None:
    value, now = rule.value(result), result.timestamp
    if state.on:
        if not rule.released(value):
            return None
        event = _event("off", rule, state, result, value)
        state.on, state.since = False, None
        return event
    if not rule.holds(value):
        state.since = None
        return None
    if state.since is None or now < state.since:  # a clock that was set back starts the time anew
        state.since = now
    if now - state.since < rule.duration_s - 1e-6:  # epoch seconds in a double resolve no better than that
        return None
    state.on = True
    return _event("on", rule, state, result, value)


def _event(edge: State, rule: AlertRule, state: _RuleState, result: FrameResult, value: float) -> AlertEvent:
    since = result.timestamp if state.since is None else state.since
    return AlertEvent(
        alert=rule.text,
        state=edge,
        camera=result.camera,
        frame=result.index,
        timestamp=result.timestamp,
        value=value,
        threshold=rule.threshold,
        release=rule.release,
        since=since,
        duration_s=max(0.0, result.timestamp - since),
    )
