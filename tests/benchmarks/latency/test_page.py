"""The page of a run: needs nothing else, and says what the figures say."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from br2net.benchmarks.latency.page import page, summary, write_report
from br2net.benchmarks.latency.record import Limits, Report


class Elements(HTMLParser):
    """Which elements there are, which of their addresses lead outside, and what is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.outside: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.outside += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(html: str) -> Elements:
    parser = Elements()
    parser.feed(html)
    return parser


def test_the_page_is_whole_and_loads_nothing(report: Report) -> None:
    html = page(report)
    found = elements(html)
    assert found.open == []
    assert found.outside == []
    assert "script" not in found.count
    assert "@import" not in html
    assert "url(" not in html
    assert "{{" not in html
    assert "{%" not in html


def test_every_row_is_in_the_table_and_in_the_plots(report: Report) -> None:
    html = page(report)
    for row in report.rows:
        assert html.count(row.setting.label) >= 3  # table, percentiles, distribution


def test_the_summary_comes_first_and_names_ratio_and_limit(report: Report) -> None:
    text = summary(report)
    assert text.startswith("mobile, OpenVINO BF16 takes 14.")
    assert "49 times as fast as the paper's configuration" in text
    html = page(report)
    assert html.index('class="summary"') < html.index("<table")


def test_estimates_are_called_so(report: Report) -> None:
    assert "Estimates, not measurements." in page(report)
    assert "Estimates" not in page(replace(report, estimates=(), validations=()))


def test_an_interrupted_run_is_marked_on_top(report: Report) -> None:
    html = page(replace(report, interrupted="timing"))
    assert "cut off during timing" in html[: html.index("<table")]


def test_a_run_of_few_samples_without_details_still_has_a_page(report: Report) -> None:
    rows = [replace(row, limits=Limits(), memory=None, accuracy=None, sweep=(), throughput=()) for row in report.rows]
    series = tuple(replace(item, rounds=[item.rounds[0][:1]]) for item in report.series)
    bare = replace(report, rows=tuple(rows), series=series, peaks=None, conditions=None)
    assert elements(page(bare)).open == []


def test_a_run_that_measured_nothing_has_a_page(report: Report) -> None:
    assert "Nothing was measured" in page(replace(report, rows=(), series=(), interrupted="opening the models"))


def test_a_name_cannot_break_the_page(report: Report) -> None:
    row = report.rows[4]
    row = replace(row, setting=replace(row.setting, network='<script>alert("x")</script>'))
    html = page(replace(report, rows=(*report.rows[:4], row, *report.rows[5:])))
    assert "<script>" not in html


@pytest.mark.parametrize("name", ["index.html", "benchmark.json", "samples.csv"])
def test_the_report_is_three_files(report: Report, tmp_path: Path, name: str) -> None:
    assert write_report(tmp_path / "out", report) == tmp_path / "out" / "index.html"
    assert (tmp_path / "out" / name).stat().st_size > 1000
