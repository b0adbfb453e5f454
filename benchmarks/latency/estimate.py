"""Estimates for devices that are not here, and the same estimate made for this machine to see how wrong it is."""

from collections.abc import Mapping, Sequence

from br2net.benchmarks.latency.devices import find_device
from br2net.benchmarks.latency.record import Estimate, Row, Validation
from br2net.benchmarks.latency.roofline import Peaks, network_bound_ms
from br2net.benchmarks.latency.work import Work

FLOAT_PRECISIONS = ("fp32", "fp16")  # precisions of an engine of a float32 file


def estimate_devices(names: Sequence[str], rows: Sequence[Row], works: Mapping[str, Work]) -> tuple[Estimate, ...]:
    """Roofline estimates of each network on each device, in each precision that it has.

    Args:
        names: short names of `devices.DEVICES`.
        rows: measured here.
        works: of the rows, by their keys.

    Raises:
        InputError: if a device is not known.
    """
    found = []
    seen = set()
    for name in names:
        device = find_device(name)
        peaks = device.peaks()
        source = f"{device.source}; {device.note}" if device.note else device.source
        for own in (row.setting for row in rows if row.setting.key in works):
            twins = [row for row in rows if (row.setting.network, row.setting.form) == (own.network, own.form)]
            share = _best_share(twins)
            for precision in ("int8",) if own.precision == "int8" else FLOAT_PRECISIONS:
                one = (name, own.network, own.form, precision)
                if precision not in device.tera_ops or one in seen:
                    continue
                seen.add(one)
                best = network_bound_ms(works[own.key], peaks, precision)
                scaled = best / share if share else None
                found.append(Estimate(device.title, own.network, own.form, precision, best, scaled, source))
    return tuple(found)


def validate(rows: Sequence[Row], works: Mapping[str, Work], peaks: Peaks) -> tuple[Validation, ...]:
    """Estimate each row of this machine from the share that *another* network reached, and compare with its measurement.

    The share is taken from a row of the same backend and precision, so that nothing of the row itself is used.
    """
    found = []
    for row in rows:
        own = row.setting
        others = [
            item
            for item in rows
            if (item.setting.backend, item.setting.precision, item.setting.form)
            == (own.backend, own.precision, own.form)
            and item.setting.network != own.network
        ]
        share = _best_share(others)
        if share is None or own.key not in works:
            continue
        other = max(others, key=lambda item: item.share_of_limit() or 0.0)
        estimated = network_bound_ms(works[own.key], peaks, own.precision, own.batch) / share
        measured = row.times.stages["inference"].p50 / own.batch
        found.append(Validation(own.label, other.setting.label, estimated, measured))
    return tuple(found)


def _best_share(rows: Sequence[Row]) -> float | None:
    return max((share for row in rows if (share := row.share_of_limit())), default=None)
