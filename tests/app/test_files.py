from pathlib import Path

import pytest

from br2net.files import cache_folder


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BR2NET_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "br2net"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "br2net"
    monkeypatch.setenv("BR2NET_CACHE", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"
