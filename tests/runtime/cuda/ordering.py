"""What happens before what: clocks of streams, and the accesses to a buffer that no stream may make in any order."""

from dataclasses import dataclass, field

Clock = dict[int, int]  # of each stream, by its handle: how many of its operations are known to be done


class RuleBroken(AssertionError):
    """What CUDA would forbid, or what would go wrong some day on a GPU."""


def merged(*clocks: Clock) -> Clock:
    """What is known where all of these are."""
    result: Clock = {}
    for clock in clocks:
        for stream, count in clock.items():
            result[stream] = max(count, result.get(stream, 0))
    return result


@dataclass(frozen=True)
class Access:
    """One operation's use of a buffer: number `count` of the stream, and whether it writes."""

    stream: int
    count: int
    writes: bool
    doing: str

    def is_before(self, clock: Clock) -> bool:
        """Whether it is done wherever `clock` is known."""
        return clock.get(self.stream, 0) >= self.count


@dataclass
class Accesses:
    """The accesses to one buffer so far."""

    name: str
    made: list[Access] = field(default_factory=list)

    def add(self, access: Access, clock: Clock) -> None:
        """Refuse an access that no order is laid down for, against an earlier one where either writes."""
        for earlier in self.made:
            if (earlier.writes or access.writes) and not earlier.is_before(clock):
                raise RuleBroken(f"{access.doing} and {earlier.doing} touch {self.name} at the same time")
        self.made = [item for item in self.made if not item.is_before(clock)] + [access]

    def pending(self, clock: Clock, *, writes: bool = False) -> list[Access]:
        """Those that need not be done yet where `clock` is known; with `writes` only those that write."""
        return [item for item in self.made if not item.is_before(clock) and (item.writes or not writes)]
