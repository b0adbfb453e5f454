"""Whole runs of a tiny model."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from br2net.benchmarks.latency import run as module
from br2net.benchmarks.latency.contestants import NETWORKS, PAPER, find_subjects
from br2net.benchmarks.latency.estimate import estimate_devices, validate
from br2net.benchmarks.latency.record import Report
from br2net.benchmarks.latency.roofline import stage_bounds
from br2net.benchmarks.latency.run import FOLDERS, Plan, run_benchmark
from br2net.benchmarks.latency.throughput import measure_throughput
from br2net.benchmarks.latency.timing import Method
from br2net.benchmarks.latency.work import LayerWork, Work
from br2net.errors import BackendError, InputError
from br2net.network import NAMED_CONFIGS
from br2net.runtime.backends import open_backend
from tests.benchmarks.latency.conftest import PEAKS
from tests.benchmarks.latency.test_record import check_schema

QUICK = Method(warm_up=1, iterations=4, seconds=0.0)


@pytest.fixture
def plan(tiny_onnx: Path) -> Plan:
    """One tiny file on every backend, nothing else."""
    return Plan((("tiny", tiny_onnx),), method=QUICK, baseline=False, details=False, threads=1, frame=(96, 64))


def test_a_file_is_run_on_every_backend_and_the_same_thing_once(plan: Plan) -> None:
    report = run_benchmark(plan)
    keys = [(row.setting.backend, row.setting.precision) for row in report.rows]
    assert ("onnxruntime", "fp32") in keys
    assert ("openvino", "fp32") in keys
    assert len(set(keys)) == len(keys)
    check_schema(report.to_json())
    for row in report.rows:
        assert row.times.end_to_end.samples >= 4
        parts = sum(stage.mean for stage in row.times.stages.values())
        assert parts == pytest.approx(row.times.end_to_end.mean, rel=1e-3)


def test_sizes_and_batches_are_swept_and_streams_counted(plan: Plan) -> None:
    report = run_benchmark(
        replace(plan, sizes=((64, 32), (96, 64)), batches=(1, 2), streams=(2,), backend="onnxruntime")
    )
    [row] = report.rows
    assert [(point.width, point.height, point.batch) for point in row.sweep] == [(64, 32, 1), (64, 32, 2), (96, 64, 1)]
    [throughput] = row.throughput
    assert throughput.streams == 2
    assert throughput.images_per_second > 0.0


def test_a_fixed_size_is_a_failure_of_that_point_alone_told_without_a_folder(
    plan: Plan, make_onnx: object, tmp_path: Path
) -> None:
    fixed = make_onnx(name="fixed.onnx", height=32, width=64)  # type: ignore[operator]
    report = run_benchmark(
        replace(plan, subjects=(("fixed", fixed),), sizes=((64, 32), (96, 64)), backend="onnxruntime")
    )
    assert [(point.width, point.height) for point in report.rows[0].sweep] == [(64, 32)]
    assert report.failures[0].reason.startswith("fixed.onnx takes 64x32 alone")
    assert str(tmp_path) not in report.to_json()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("/home/somebody/x.onnx is damaged.", "x.onnx is damaged."),
        ("OSError: '/srv/x.onnx' (of https://example.org/a/b)", "OSError: 'x.onnx' (of https://example.org/a/b)"),
        ("triton://host:8001/mobile/2 gives 3/4/5 maps", "triton://host:8001/mobile/2 gives 3/4/5 maps"),
    ],
)
def test_of_an_absolute_path_the_file_is_left(said: str, kept: str) -> None:
    assert FOLDERS.sub("", said) == kept


def test_a_file_that_does_not_run_is_told_and_the_others_go_on(plan: Plan, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    report = run_benchmark(replace(plan, subjects=(("broken", broken), *plan.subjects)))
    assert {row.setting.name for row in report.rows} == {"tiny"}
    assert all("broken" in item.what and "is not an ONNX file" in item.reason for item in report.failures)


def test_nothing_that_runs_is_an_error(plan: Plan, tmp_path: Path) -> None:
    engine = tmp_path / "x.engine"
    engine.write_bytes(b"no engine")
    with pytest.raises(BackendError, match="Nothing of this runs here"):
        run_benchmark(replace(plan, subjects=(("x.engine", engine),)))


def test_an_interrupted_run_keeps_its_rows_and_is_marked(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.time_interleaved

    def cut_short(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "time_interleaved", cut_short)
    report = run_benchmark(replace(plan, streams=(1,)))
    assert report.interrupted == "timing"
    assert len(report.rows) >= 2
    assert all(row.throughput == () for row in report.rows)
    check_schema(report.to_json())


def test_a_run_that_is_cut_off_before_timing_is_still_a_report(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "open_models", cut_off)
    report = run_benchmark(plan)
    assert report.interrupted == "opening the models"
    assert report.rows == ()


def test_layers_of_a_profile_have_the_work_of_the_file(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measure_peaks", lambda: PEAKS)
    report = run_benchmark(replace(plan, details=True, backend="openvino"))
    [row] = [item for item in report.rows if item.limits.layers]
    assert sum(layer.macs for layer in row.limits.layers) == row.limits.macs == (4 * 27 + 4) * 64 * 32
    assert all(layer.ms > 0.0 and layer.bytes_moved > 0 for layer in row.limits.layers)
    assert row.share_of_limit() is not None
    assert row.memory is not None
    check_schema(report.to_json())


@pytest.mark.parametrize("options", [{"batches": (0,)}, {"streams": (0,)}, {"frame": (8, 8)}, {"devices": ("abacus",)}])
def test_an_impossible_plan_is_refused(plan: Plan, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(plan, **options)  # type: ignore[arg-type]


def test_networks_by_name_are_those_that_there_are() -> None:
    assert set(NETWORKS) == {PAPER, *NAMED_CONFIGS}


@pytest.mark.slow
def test_a_network_by_name_is_exported_in_both_forms_with_the_same_weights(tmp_path: Path) -> None:
    plain, restructured = find_subjects("mobile", None, ("plain", "restructured"), tmp_path, (64, 64))
    assert plain.checkpoint == restructured.checkpoint
    report = run_benchmark(
        Plan(
            (("plain", plain.path), ("restructured", restructured.path)),
            backend="onnxruntime",
            method=Method(1, 1, 0.0),
            details=False,
            baseline=False,
            frame=(64, 64),
        )
    )
    assert [row.setting.form for row in report.rows] == ["plain", "restructured"]


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no form odd"):
        find_subjects("mobile", None, ("odd",), tmp_path)


def test_bounds_of_the_outer_stages_are_what_has_to_be_moved() -> None:
    found = stage_bounds((384, 384), (1280, 720), 1, "fp32", None, PEAKS)
    moved = 3 * 1280 * 720 + 4 * 3 * 384 * 384
    assert found["preprocess"] == pytest.approx(1000 * moved / PEAKS.bandwidth(moved))
    assert "inference" not in found


def test_an_estimate_is_the_bound_over_the_share_that_was_reached(report: Report) -> None:
    row = report.fastest("mobile")
    assert row is not None
    work = Work((LayerWork("a", "Conv", 1_000_000_000, 1000, 1000, "fp32"),))
    found = estimate_devices(("titan-xp",), [row], {row.setting.key: work})
    assert [item.precision for item in found] == ["fp32"]
    assert found[0].at_best_ms == pytest.approx(1e9 / (12.15e12 / 2) * 1000)
    share = row.share_of_limit()
    assert share is not None
    assert found[0].as_here_ms == pytest.approx(found[0].at_best_ms / share)


def test_the_estimate_of_this_machine_uses_nothing_of_the_row_that_it_estimates(report: Report) -> None:
    work = Work((LayerWork("a", "Conv", 22_000_000_000, 1000, 1000, "fp32"),))
    rows = [row for row in report.models if row.setting.precision == "bf16"]
    found = validate(rows, {row.setting.key: work for row in rows}, PEAKS)
    assert [check.row for check in found] == [row.setting.label for row in rows]
    other = {rows[0].setting.label: rows[1], rows[1].setting.label: rows[0]}
    for check in found:
        share = other[check.row].share_of_limit()
        assert share is not None
        assert check.learned_from == other[check.row].setting.label
        assert check.estimated_ms == pytest.approx(100.0 / share)


def test_two_files_of_one_network_are_told_apart_by_their_names(plan: Plan, make_onnx: object) -> None:
    other = make_onnx(name="other.onnx")  # type: ignore[operator]
    report = run_benchmark(replace(plan, subjects=(*plan.subjects, ("other", other)), backend="onnxruntime"))
    assert len({row.setting.key for row in report.rows}) == 2
    first, second = report.rows
    assert first.times.faster_than_first is None
    assert second.times.faster_than_first is not None
    assert second.times.faster_than_first.rounds == 4
    assert [row.setting.label.split("(")[-1] for row in report.rows] == ["tiny.onnx)", "other.onnx)"]


def test_a_step_that_fails_is_told_and_the_times_are_kept(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such counter")

    monkeypatch.setattr(module, "measure_throughput", fail)
    report = run_benchmark(replace(plan, streams=(1,)))
    assert report.rows
    assert [item.what for item in report.failures] == ["measuring streams"]
    assert "no such counter" in report.failures[0].reason


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_streams_share_a_model_or_have_one_each(plan: Plan, backend: str) -> None:
    report = run_benchmark(replace(plan, streams=(1, 3), backend=backend, precision="auto"))
    assert [item.streams for item in report.rows[0].throughput] == [1, 3]
    assert all(item.images_per_second > 0.0 for item in report.rows[0].throughput)
    assert report.failures == ()


def test_what_a_stream_raises_is_raised(tiny_onnx: Path) -> None:
    with open_backend(tiny_onnx, "onnxruntime") as backend:
        frames = [np.zeros((64, 96, 3), np.uint8)]
    with pytest.raises(BackendError, match="closed"):
        measure_throughput([backend, backend], frames, 1, 60.0)


def test_a_file_that_has_the_form_and_the_size_already_is_not_exported_again(tmp_path: Path) -> None:
    mobile = Path(str(resources.files("br2net").joinpath("models/mobile.onnx")))
    [subject] = find_subjects("mobile", mobile, ("restructured",), tmp_path, (384, 384))
    assert subject.path == mobile
    assert list(tmp_path.iterdir()) == []


def test_what_there_is_is_handed_out_after_every_step(plan: Plan) -> None:
    kept: list[Report] = []
    final = run_benchmark(replace(plan, backend="onnxruntime"), keep=kept.append)
    assert kept[0].interrupted == "measuring streams"
    assert all(item.interrupted and item.rows == final.rows[:1] for item in kept)
    assert final.interrupted == ""
