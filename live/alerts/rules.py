"""Rules of alerts, and the expressions that they are written as, for example `blurred > 0.6 for 2s`."""

import operator
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from br2net.errors import InputError
from br2net.live.pipeline.result import FrameResult

BLURRED_MARGIN = 0.05
SHARPNESS_MARGIN = 0.1
UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
COMPARISONS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
QUANTITIES = ("blurred", "sharpness")
FORM = 'QUANTITY[REGION] > VALUE for TIME until VALUE, for example "blurred > 0.6 for 2s"'
NUMBER = r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)"
EXPRESSION = re.compile(
    rf"\s*([a-z]\w*)\s*(?:\[([^\[\]]*)\])?\s*(<=|>=|<|>)\s*{NUMBER}"
    rf"(?:\s+for\s+(\d+(?:\.\d*)?|\.\d+)\s*([a-z]+))?"
    rf"(?:\s+until\s+{NUMBER})?\s*"
)


@dataclass(frozen=True)
class AlertRule:
    """When an alert goes on and when it goes off.

    Attributes:
        text: the expression as the user wrote it, spaces tidied; also the name of the alert.
        quantity: `blurred` (a fraction, 0..1) or `sharpness` (the focus score).
        region: name of the region that counts; None for the whole frame.
        operator: `<`, `>`, `<=` or `>=`.
        threshold: the value compared with.
        duration_s: for how long the comparison must hold before the alert goes on.
        release: the alert goes off once the value has come back to this; the gap to `threshold` is the hysteresis.
    """

    text: str
    quantity: str
    region: str | None
    operator: str
    threshold: float
    duration_s: float
    release: float

    def value(self, result: FrameResult) -> float:
        """Return the quantity of this rule in `result`.

        Raises:
            InputError: if the result has no such region.
        """
        sharpness = self.quantity == "sharpness"
        if self.region is None:
            return result.sharpness if sharpness else result.blurred_fraction
        regions = result.region_sharpness if sharpness else result.regions
        if self.region not in regions:
            raise InputError(_no_region(self, regions))
        return regions[self.region]

    def holds(self, value: float) -> bool:
        """Tell whether the comparison holds for `value`; never for NaN."""
        return bool(COMPARISONS[self.operator](value, self.threshold))

    def released(self, value: float) -> bool:
        """Tell whether `value` has come back far enough for the alert to go off."""
        back = value <= self.release if self.operator.startswith(">") else value >= self.release
        return back and not self.holds(value)


def parse_rule(text: str) -> AlertRule:
    """Read one expression: a quantity, `[region]` if any, a comparison, `for TIME` if any, `until VALUE` if any.

    Without `until`, a blurred fraction has to come back by 0.05 (but by no more than half of its way to 0 or 1), a
    sharpness by a tenth of the threshold.

    Raises:
        InputError: one sentence, if the text is of another form or can never be true.
    """
    tidy = " ".join(text.split())
    match = EXPRESSION.fullmatch(tidy)
    if match is None:
        raise InputError(f"The alert {text!r} cannot be read; it is written {FORM}.")
    quantity, region, comparison, threshold_text, percent, time_text, unit, release_text, release_percent = (
        match.groups()
    )
    if quantity not in QUANTITIES:
        raise InputError(f"The alert {text!r} asks for {quantity!r}; there is blurred and sharpness.")
    if quantity == "sharpness" and (percent or release_percent):
        raise InputError(f"The alert {text!r} gives the sharpness in percent; it is a score without a largest value.")
    if unit is not None and unit not in UNIT_SECONDS:
        raise InputError(f"The alert {text!r} has a time in {unit!r}; there is ms, s, min and h.")
    if region is not None and not region.strip():
        raise InputError(f"The alert {text!r} names no region between its brackets.")
    threshold = _number(threshold_text, percent)
    upwards = comparison.startswith(">")
    release = _number(release_text, release_percent) if release_text else _default_release(quantity, threshold, upwards)
    rule = AlertRule(
        text=tidy,
        quantity=quantity,
        region=region.strip() if region is not None else None,
        operator=comparison,
        threshold=threshold,
        duration_s=float(time_text) * UNIT_SECONDS[unit] if time_text and unit else 0.0,
        release=release,
    )
    _check(rule, upwards)
    return rule


def parse_rules(texts: Sequence[str], regions: Collection[str] = ()) -> tuple[AlertRule, ...]:
    """Read several expressions, and check that the regions they name are among `regions`.

    Raises:
        InputError: if one cannot be read, names an unknown region, or is given twice.
    """
    rules: list[AlertRule] = []
    for text in texts:
        rule = parse_rule(text)
        if rule.region is not None and rule.region not in regions:
            raise InputError(_no_region(rule, regions))
        if rule.text in [other.text for other in rules]:
            raise InputError(f"The alert {rule.text!r} is given twice.")
        rules.append(rule)
    return tuple(rules)


def _number(text: str, percent: str) -> float:
    return float(text) / 100 if percent else float(text)


def _default_release(quantity: str, threshold: float, upwards: bool) -> float:
    if quantity == "sharpness":
        return threshold * (1 - SHARPNESS_MARGIN if upwards else 1 + SHARPNESS_MARGIN)
    room = threshold if upwards else 1 - threshold
    margin = min(BLURRED_MARGIN, room / 2)
    return threshold - margin if upwards else threshold + margin


def _check(rule: AlertRule, upwards: bool) -> None:
    if rule.quantity == "blurred":
        if rule.threshold > 1 or rule.release > 1:
            raise InputError(f"The alert {rule.text!r} needs a fraction of 0..1, or percent.")
        if not rule.holds(1.0 if upwards else 0.0):
            raise InputError(f"The alert {rule.text!r} can never go on; a fraction lies in 0..1.")
        if rule.holds(0.0) and rule.holds(1.0):
            raise InputError(f"The alert {rule.text!r} is always on; a fraction lies in 0..1.")
    if (rule.release > rule.threshold) if upwards else (rule.release < rule.threshold):
        side = "above" if upwards else "below"
        raise InputError(f"The alert {rule.text!r} goes off {side} where it goes on; swap the two values.")


def _no_region(rule: AlertRule, regions: Collection[str]) -> str:
    known = ", ".join(sorted(regions)) or "none"
    return f"The alert {rule.text!r} names the region {rule.region!r}; the regions are: {known}."
