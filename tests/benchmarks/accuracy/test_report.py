"""The page, the CSV and the JSON of an evaluation."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from br2net.benchmarks.accuracy import ReportSubject, check_sharp, evaluate, write_report
from br2net.benchmarks.accuracy.contact_sheet import difference_picture
from br2net.benchmarks.accuracy.published import PUBLISHED, which_set
from br2net.benchmarks.accuracy.report import summary_sentences
from br2net.datasets.pairs import Pair, find_pairs
from br2net.errors import InputError
from br2net.runtime.backend import Backend


@pytest.fixture
def page(red_is_blur: Backend, dataset: Path, tmp_path: Path) -> Path:
    pairs = find_pairs(dataset)
    sharp = check_sharp(red_is_blur, [pairs[0].image])
    subject = ReportSubject("a <set>", "blurred", "br2net evaluate 'a <set>'", sharp)
    return write_report(tmp_path / "report", evaluate(red_is_blur, pairs), red_is_blur, pairs, subject)


class Balance(HTMLParser):
    """Checks that every element is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_escapes_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    checker = Balance()
    checker.feed(text)
    assert checker.open == []
    assert "a &lt;set&gt;" in text


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', text))
    assert not re.search(r"<link|<script|href=|url\((?!#)|@import", text)


def test_the_worst_image_comes_first(page: Path) -> None:
    names = re.findall(r"<b>(.*?)</b>", page.read_text(encoding="utf-8"))
    assert names[:3] == ["none", "half", "all"]


def test_the_page_says_how_to_make_it_again(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<code>br2net evaluate &#39;a &lt;set&gt;&#39;</code>" in text


def test_the_page_begins_with_what_the_figures_say(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "On 3 photographs, red differs from the masks by 0.250 on average" in text
    assert "Of 1 photographs in focus everywhere it calls 50.0 % of the pixels blurred" in text


def test_published_methods_with_a_smaller_error_are_counted(red_is_blur: Backend, dataset: Path) -> None:
    evaluation = evaluate(red_is_blur, find_pairs(dataset))  # MAE 0.25; of Shi's, DBDF's 0.292 alone is larger
    assert "7 of the 8 published methods have a smaller MAE" in summary_sentences(evaluation, "Shi (100)", None)
    assert "published" not in summary_sentences(evaluation, None, None)


def test_published_figures_are_marked_with_their_source(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "ICME 2023" in text
    assert "not comparable" in text
    assert all(method in text for method in PUBLISHED)


def test_the_csv_has_one_line_for_each_image_and_leaves_undefined_figures_empty(page: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((page.parent / "images.csv").read_text(encoding="utf-8"))))
    assert [row["name"] for row in rows] == ["all", "half", "none"]
    assert float(rows[1]["mae"]) == pytest.approx(0.25)
    assert rows[2]["auc"] == ""


def test_the_json_file_is_that_of_the_command_line(page: Path, red_is_blur: Backend, dataset: Path) -> None:
    written = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    assert written == evaluate(red_is_blur, find_pairs(dataset)).to_json()


def test_a_data_set_without_any_blur_still_gives_a_page(red_is_blur: Backend, dataset: Path, tmp_path: Path) -> None:
    pairs = find_pairs(dataset)[2:]
    page = write_report(tmp_path / "sharp", evaluate(red_is_blur, pairs), red_is_blur, pairs, ReportSubject("sharp"))
    assert "nan" not in page.read_text(encoding="utf-8").split("<body>")[1].replace("data:", "").split("<h2>Worst")[0]


def test_a_report_folder_that_is_a_file_is_refused(red_is_blur: Backend, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    pairs = find_pairs(dataset)
    with pytest.raises(InputError, match="Cannot write"):
        write_report(tmp_path / "file", evaluate(red_is_blur, pairs), red_is_blur, pairs, ReportSubject("x"))


def test_the_difference_is_white_where_right_and_tells_the_two_errors_apart() -> None:
    blur, mask = np.array([[1.0, 1.0, 0.0]], np.float32), np.array([[1.0, 0.0, 1.0]], np.float32)
    right, false_blur, missed = difference_picture(blur, mask)[0]
    assert right.tolist() == [255, 255, 255]
    assert false_blur[2] > false_blur[0]  # orange
    assert missed[0] > missed[2]  # blue


def test_the_difference_is_grey_where_the_mask_is_unknown() -> None:
    blur, mask = np.array([[1.0, 0.0]], np.float32), np.full((1, 2), np.nan, np.float32)
    assert difference_picture(blur, mask).tolist() == [[[128, 128, 128]] * 2]


@pytest.mark.parametrize(
    ("folder", "name", "count", "expected"),
    [
        ("cuhk/images", "out_of_focus{:04}", 100, None),
        ("DUT-DBD/DUT500S-Testing", "{:04}", 500, "DUT (500)"),
        ("CTCUG/images", "{:04}", 150, "CTCUG (150)"),
        ("images", "{:04}", 150, None),
    ],
)
def test_the_published_test_sets_are_recognised(folder: str, name: str, count: int, expected: str | None) -> None:
    names = [name.format(index) for index in range(count)]
    assert which_set([Pair(Path(folder) / f"{item}.jpg", Path(f"{item}.png"), item) for item in names]) == expected


def test_shis_standard_split_is_recognised(shared: Path) -> None:
    assert which_set(find_pairs(shared / "data" / "cuhk", shared / "data" / "cuhk" / "test100.txt")) == "Shi (100)"
