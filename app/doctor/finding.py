"""What an examination finds."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How a thing stands."""

    WORKS = "works"
    MISSING = "missing"  # it would be of use here
    FAILS = "fails"  # it is here and does not work
    UNUSED = "not needed"  # nothing here needs it, or it cannot be here


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of the thing, as `TensorRT`.
        state: how it stands.
        detail: what was found, as its version; one line.
        mend: the one line to type, or the one thing to do, that makes it work; empty where nothing needs doing.
    """

    name: str
    state: State
    detail: str
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        """For a program."""
        return {"name": self.name, "state": self.state.value, "detail": self.detail, "mend": self.mend}


def works(name: str, detail: str, mend: str = "") -> Finding:
    """A thing that works; `mend` is what would make it better."""
    return Finding(name, State.WORKS, detail, mend)


def missing(name: str, detail: str, mend: str) -> Finding:
    """A thing that is not here and would be of use."""
    return Finding(name, State.MISSING, detail, mend)


def fails(name: str, detail: str, mend: str) -> Finding:
    """A thing that is here and does not work."""
    return Finding(name, State.FAILS, detail, mend)


def unused(name: str, detail: str) -> Finding:
    """A thing that nothing here needs."""
    return Finding(name, State.UNUSED, detail)
