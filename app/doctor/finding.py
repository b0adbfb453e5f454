"""Findings of `br2net doctor`."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """State of a thing."""

    WORKS = "works"
    MISSING = "missing"  # it would be of use here
    FAILS = "fails"  # it is here and does not work
    UNUSED = "not needed"  # nothing here needs it, or it cannot be here


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: name of the thing, for example `TensorRT`.
        state: its state.
        detail: what was found, for example its version; one line.
        fix: the one line to type, or the one thing to do, that makes it work; empty if nothing needs doing.
    """

    name: str
    state: State
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as a JSON object; its key for `fix` is `mend`."""
        return {"name": self.name, "state": self.state.value, "detail": self.detail, "mend": self.fix}


def works(name: str, detail: str, fix: str = "") -> Finding:
    """Return the finding of a thing that works; `fix` is what would make it better."""
    return Finding(name, State.WORKS, detail, fix)


def missing(name: str, detail: str, fix: str) -> Finding:
    """Return the finding of a thing that is not here and would be of use."""
    return Finding(name, State.MISSING, detail, fix)


def fails(name: str, detail: str, fix: str) -> Finding:
    """Return the finding of a thing that is here and does not work."""
    return Finding(name, State.FAILS, detail, fix)


def unused(name: str, detail: str) -> Finding:
    """Return the finding of a thing that nothing here needs."""
    return Finding(name, State.UNUSED, detail)
