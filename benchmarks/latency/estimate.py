"""Estimates for devices that are not here, and the same estimate made for this machine to see how wrong it is."""

from collections.abc import Mapping, Sequence

from br2net.benchmarks.latency.devices import find_device
from br2net.benchmarks.latency.record import Estimate, Row, Validation
from br2net.benchmarks.latency.roofline import Peaks, network_bound_ms
from br2net.benchmarks.latency.work import Work

PRECISIONS = ("fp32", "fp16", "int8")  # what an engine of a GPU can be built in


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
        for row in rows:
            share = _best_share([item for item in rows if (item.network, item.form) == (row.network, row.form)])
            if row.key not in works:
                continue
            choices = ("int8",) if row.precision == "int8" else tuple(item for item in PRECISIONS if item != "int8")
            for precision in choices:
                one = (name, row.network, row.form, precision)
                if precision not in device.tera_ops or one in seen:
                    continue
                seen.add(one)
                best = network_bound_ms(works[row.key], peaks, precision)
                source = f"{device.source}; {device.note}" if device.note else device.source
                scaled = best / share if share else None
                found.append(Estimate(device.title, row.network, row.form, precision, best, scaled, source))
    return tuple(found)


def validate(rows: Sequence[Row], works: Mapping[str, Work], peaks: Peaks) -> tuple[Validation, ...]:
    """Estimate each row of this machine from the share that *another* network reached, and compare with its measurement.

    The share is taken from a row of the same backend and precision, so that nothing of the row itself is used.
    """
    found = []
    for row in rows:
        others = [
            item
            for item in rows
            if (item.backend, item.precision, item.form) == (row.backend, row.precision, row.form)
            and item.network != row.network
        ]
        share = _best_share(others)
        if share is None or row.key not in works:
            continue
        other = max(others, key=lambda item: item.share_of_limit() or 0.0)
        estimated = network_bound_ms(works[row.key], peaks, row.precision, row.batch) / share
        found.append(Validation(row.label, other.label, estimated, row.stages["inference"].p50 / row.batch))
    return tuple(found)


def _best_share(rows: Sequence[Row]) -> float | None:
    return max((share for row in rows if (share := row.share_of_limit())), default=None)
