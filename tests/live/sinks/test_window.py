import pytest

from br2net.errors import InputError
from br2net.live.sinks import Drawing, WindowSink


def test_without_a_desktop_a_window_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="no desktop"):
        WindowSink(Drawing(), lambda: None)
