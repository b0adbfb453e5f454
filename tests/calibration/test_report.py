"""The page of a calibration, read by a parser of HTML, and the files beside it."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from br2net.calibration import CalibrationOptions, GateLimits, Gathered, Outcome, SetRequest, gather
from br2net.calibration import calibrate as run
from br2net.calibration.report import BOTTOM, HEIGHT, Bar, bar_plot, write_report
from br2net.errors import GateError

VOID = {"meta", "img", "line", "rect", "br"}


class Page(HTMLParser):
    """Collects what a page loads and checks that its elements are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.titles.append(data)


def calibrated(model: Path, folder: Path, output: Path, options: CalibrationOptions) -> tuple[Gathered, Outcome]:
    gathered = gather(model, SetRequest((str(folder),)))
    frames = [item.frame for item in gathered.chosen.frames]
    return gathered, run(model, output, frames, gathered.manifest, gathered.gate, options)


def test_a_page_needs_nothing_else_and_names_every_layer(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    options = CalibrationOptions(sensitivity="layer")
    gathered, outcome = calibrated(model, photo_folder, tmp_path / "x.onnx", options)
    path = write_report(tmp_path / "report", outcome, gathered.chosen, gathered.manifest, True, "br2net calibrate <x>")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads and all(item.startswith("data:image/jpeg") for item in page.loads)
    names = [layer.label for layer in outcome.layers]
    assert {title.split(":")[0] for title in page.titles} >= set(names)
    assert "the file, by ONNX Runtime" in text and "the file, by OpenVINO" in text
    assert "br2net calibrate &lt;x&gt;" in text
    rows = list(csv.DictReader((tmp_path / "report" / "layers.csv").open(encoding="utf-8")))
    assert [row["layer"] for row in rows] == names
    assert {row["layer"] for row in rows if row["precision"] == "float32"} == set(outcome.kept)
    facts = json.loads((tmp_path / "report" / "figures.json").read_text(encoding="utf-8"))
    assert facts["gate"]["difference"] == pytest.approx(outcome.gate.difference, abs=1e-6)


def test_the_page_of_a_refused_file_says_so_and_which_layers_did_it(
    model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    gathered = gather(model, SetRequest((str(photo_folder),)))
    with pytest.raises(GateError) as refused:
        calibrated(model, photo_folder, tmp_path / "x.onnx", CalibrationOptions(limits=GateLimits(difference=0.0)))
    outcome = refused.value.result
    assert isinstance(outcome, Outcome)
    path = write_report(tmp_path / "report", outcome, gathered.chosen, gathered.manifest, False, "")
    text = path.read_text(encoding="utf-8")
    assert "The file was not written." in text
    assert re.search(r"Most noise comes from (body|head)\.", text)


def test_bars_stand_on_the_ground_line_as_high_as_their_values() -> None:
    plot = bar_plot([Bar("x.a", 1.0, False), Bar("x.b", 2.0, True), Bar("y.c", 4.0, False, "c")], "value", 4.0)
    found = re.findall(r'<rect class="(int8|kept)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', plot)
    heights = [float(height) for _, _, height in found]
    assert [kind for kind, _, _ in found] == ["int8", "kept", "int8"]
    assert [height / heights[0] for height in heights] == pytest.approx([1.0, 2.0, 4.0], rel=0.01)
    assert {round(float(top) + float(height)) for _, top, height in found} == {HEIGHT - BOTTOM}
