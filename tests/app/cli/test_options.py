"""Option texts that several verbs share."""

import pytest

from br2net.cli.options import parse_size
from br2net.errors import InputError


@pytest.mark.parametrize("text", ["640x384", "640X384", "640×384", " 640x384 "])
def test_a_size_is_read_width_first(text: str) -> None:
    assert parse_size(text) == (640, 384)


def test_no_size_stays_none() -> None:
    assert parse_size(None) is None


@pytest.mark.parametrize(
    "text", ["", "640", "640x", "x384", "640x384x3", "-640x384", "6.4x3", "640*384", "1" * 5000 + "x1"]
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="A size must be like 640x384"):
        parse_size(text)
