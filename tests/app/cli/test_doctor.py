"""`br2net doctor` on this machine, whatever it is."""

import json

from .conftest import Command


def test_it_ends_with_0_and_names_each_thing(br2net: Command) -> None:
    ended = br2net("doctor")
    assert (ended.code, ended.err) == (0, "")
    for name in ("br2net", "GPU", "TensorRT", "pycuda", "OpenVINO", "GStreamer", "FFmpeg", "camera", "models"):
        assert name in ended.out


def test_json_has_the_same_things(br2net: Command) -> None:
    findings = json.loads(br2net("doctor", "--json").out)
    assert {"name", "state", "detail", "mend"} == set(findings[0])
    assert all(item["mend"] for item in findings if item["state"] in ("missing", "fails"))
