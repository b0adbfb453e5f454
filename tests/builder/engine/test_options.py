from types import SimpleNamespace

import pytest

from br2net.builder.engine.options import BuildOptions, Hardware, compute_capability_of, parse_profile
from br2net.errors import InputError
from br2net.runtime.engine_file import InputShape, Library
from br2net.runtime.gpu import Gpu

RTX = Library("tensorrt_rtx", "1.7.1.116")
MODULE = SimpleNamespace(ComputeCapability=SimpleNamespace(SM86="86", SM120="120", CURRENT="now"))


class RtxConfig:
    """A configuration that, like the real one, ignores capabilities beyond the announced number."""

    def __init__(self) -> None:
        self.num_compute_capabilities = 0
        self.capabilities: dict[int, str] = {}

    def set_compute_capability(self, capability: str, index: int) -> bool:
        if index >= self.num_compute_capabilities:
            return False
        self.capabilities[index] = capability
        return True


def test_a_profile_reads_as_min_opt_max() -> None:
    profile = parse_profile("1:2:4", "256x192:320x320:640x480")
    assert profile.smallest == InputShape(1, 256, 192)
    assert profile.typical == InputShape(2, 320, 320)
    assert profile.contains(InputShape(3, 512, 320)) and not profile.contains(InputShape(5, 512, 320))


@pytest.mark.parametrize(
    ("batch", "size"), [("0", "64x64"), ("2:1:4", "64x64"), ("1", "64"), ("1:2", "64x64"), ("1", "96x64:64x64:64x64")]
)
def test_a_wrong_profile_is_refused(batch: str, size: str) -> None:
    with pytest.raises(InputError):
        parse_profile(batch, size)


def test_targets_are_compute_capabilities() -> None:
    assert [compute_capability_of(target) for target in ("sm86", "sm120", "any")] == ["8.6", "12.0", "8.6+"]


def test_options_out_of_range_are_refused() -> None:
    both = {"targets": ("sm89",), "hardware": Hardware.AMPERE_AND_LATER}
    for wrong in ({"optimisation_level": 6}, {"workspace_mib": 0}, {"targets": ("ada",)}, both):
        with pytest.raises(InputError):
            BuildOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.usefixtures("testbed")
class TestTargets:
    def test_several_are_announced_and_set(self) -> None:
        from br2net.builder.engine.config import set_targets

        config = RtxConfig()
        set_targets(config, MODULE, RTX, ("sm86", "sm120"), None)
        assert config.capabilities == {0: "86", 1: "120"}

    def test_none_means_the_gpu_that_is_here(self) -> None:
        from br2net.builder.engine.config import set_targets

        config = RtxConfig()
        set_targets(config, MODULE, RTX, (), Gpu("RTX 4090", "8.9"))
        assert config.capabilities == {0: "now"}

    def test_an_unknown_one_and_any_of_plain_tensorrt_are_refused(self) -> None:
        from br2net.builder.engine.config import set_targets

        with pytest.raises(InputError, match="cannot build for sm99"):
            set_targets(RtxConfig(), MODULE, RTX, ("sm99",), None)
        with pytest.raises(InputError, match="BR2NET_TENSORRT"):
            set_targets(object(), MODULE, Library("tensorrt", "10.3.0"), ("sm86",), None)
