"""Choosing the few layers that stay float32 so that the gate holds, at the least cost in multiply-accumulates."""

from collections.abc import Callable, Collection, Sequence

from br2net.calibration.sensitivity import Sensitivity

Nodes = frozenset[str]


def keep_least(
    sensitivities: Sequence[Sensitivity], kept: Collection[str], holds: Callable[[Nodes], bool]
) -> Nodes | None:
    """The nodes to keep, or None where `holds` is not true even with all but one group kept.

    Groups are taken by noise per multiply-accumulate, most first, until `holds`; how many is found by doubling and
    halving. Then each taken one is given back, the costliest first, where `holds` without it.

    Args:
        sensitivities: of the groups; those that stay float32 anyway are no choice.
        kept: nodes that are kept whatever happens.
        holds: whether the gate holds with these nodes kept. It is asked about twice the logarithm of their number and
            once for each that is taken.
    """
    changeable = (item for item in sensitivities if not item.stays)
    order = sorted(changeable, key=lambda item: item.noise / max(item.group.macs, 1), reverse=True)

    def nodes(groups: Sequence[Sensitivity]) -> Nodes:
        return frozenset(kept).union(*(item.group.nodes for item in groups))

    if holds(nodes([])):
        return nodes([])
    most = len(order) - 1  # something has to be INT8
    failing, count = 0, min(1, most)
    while not (count > 0 and holds(nodes(order[:count]))):
        if count >= most:
            return None
        failing, count = count, min(2 * count, most)
    while count - failing > 1:
        middle = (failing + count) // 2
        if holds(nodes(order[:middle])):
            count = middle
        else:
            failing = middle
    taken = list(order[:count])
    for item in sorted(taken[:-1], key=lambda item: item.group.macs, reverse=True):  # without the last it did not hold
        without = [other for other in taken if other is not item]
        if holds(nodes(without)):
            taken = without
    return nodes(taken)
