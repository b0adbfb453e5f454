"""Findings of `br2net doctor`."""

from dataclasses import dataclass
from enum import Enum
from functools import partial


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
        state: state of the thing.
        name: name of the thing, for example `TensorRT`.
        detail: finding, for example its version; one line.
        fix: the one line to type, or the one thing to do, that makes it work; empty if nothing needs doing.
    """

    state: State
    name: str
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as a JSON object; its key for `fix` is `mend`."""
        return {"name": self.name, "state": self.state.value, "detail": self.detail, "mend": self.fix}


works = partial(Finding, State.WORKS)
missing = partial(Finding, State.MISSING)
fails = partial(Finding, State.FAILS)
unused = partial(Finding, State.UNUSED)
