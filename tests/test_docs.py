"""README and docs: their Python runs, their links lead somewhere, and the options that they name exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer.main

from br2net.cli import app
from br2net.types import Frame

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- skip: (?P<reason>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(br2net [^`]+)`")
END_OF_COMMAND = {"|", "||", "&&", ";", ">", "#"}


def blocks(page: Path, *languages: str) -> Iterator[re.Match[str]]:
    text = page.read_text(encoding="utf-8")
    return (match for match in BLOCK.finditer(text) if match["language"] in languages)


def python_blocks() -> list[Any]:
    return [
        pytest.param(
            match["text"],
            match["reason"],
            id=f"{page.name}:{page.read_text(encoding='utf-8')[: match.start()].count(chr(10)) + 1}",
        )
        for page in PAGES
        for match in blocks(page, "python")
    ]


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every `br2net` command, in blocks and in sentences, without comments and what a shell does afterwards."""
    shell = [match["text"] for match in blocks(page, "sh", "")]
    inline = INLINE.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    for line in [*"\n".join(shell).replace("\\\n", " ").splitlines(), *inline]:
        _, found, rest = line.partition("br2net ")
        if not found or line.lstrip().startswith("#"):
            continue
        lexer = shlex.shlex(rest, posix=True, punctuation_chars="|&;>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word in END_OF_COMMAND:
                break
            words.append(word)
        yield words


@pytest.fixture
def folder(tmp_path: Path, photograph: Frame, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the photograph and the video that the pages name."""
    cv2.imwrite(str(tmp_path / "photograph.jpg"), photograph)
    video = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (160, 96))
    for number in range(4):
        video.write(np.roll(cv2.resize(photograph, (160, 96)), number, axis=1))
    video.release()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("text", "reason"), python_blocks())
def test_python_examples_run(text: str, reason: str | None, folder: Path) -> None:
    if reason:
        compile(text, "example", "exec")
        pytest.skip(reason)
    exec(compile(text, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_and_options_exist(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    unknown = []
    for words in commands(page):
        verb = words[0] if words else ""
        if not re.fullmatch(r"[a-z]+", verb):
            continue  # `br2net VERB --help`
        if verb not in group.commands:
            unknown.append(verb)
            continue
        options = {name for item in group.commands[verb].params for name in (*item.opts, *item.secondary_opts)}
        used = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        unknown += [f"{verb} {name}" for name in sorted(used - options - {"--help"})]
    assert unknown == []


def test_commands_are_found_in_the_pages() -> None:
    verbs = {words[0] for page in PAGES for words in commands(page) if words}
    assert {"build", "calibrate", "camera", "detect", "benchmark", "export"} <= verbs
