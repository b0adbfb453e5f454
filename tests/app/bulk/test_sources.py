"""What the names of sources stand for."""

from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from br2net.bulk.sources import Chunk, find_chunks, without_done
from br2net.errors import InputError


def images(*sources: str | Path, without: str | None = None) -> list[str]:
    chunks = find_chunks([str(source) for source in sources], None, without)
    return [url for chunk in chunks if chunk.kind == "images" for url in chunk.urls]


def test_a_folder_gives_what_lies_in_it_and_inside_folders_but_nothing_hidden(pictures: Path) -> None:
    (pictures / ".hidden").mkdir()
    for name in (".hidden/a.png", ".b.png", "notes.txt"):
        (pictures / name).touch()
    expected = [pictures / f"{number}.png" for number in range(4)] + [pictures / "inside" / "4.png"]
    assert images(pictures) == [str(path) for path in expected]


def test_a_file_named_twice_or_spelt_otherwise_is_done_once(pictures: Path) -> None:
    assert len(images(pictures, pictures / "0.png", pictures / "inside" / ".." / "1.png")) == 5


def test_a_pattern_reaches_into_folders(pictures: Path) -> None:
    assert len(images(pictures / "**" / "*.png")) == 5
    assert len(images(pictures / "[12].png")) == 2


def test_the_output_folder_inside_the_input_is_left_out(pictures: Path) -> None:
    assert len(images(pictures, without=str(pictures / "inside"))) == 4


def test_a_url_of_another_file_system_gives_urls(pictures: Path) -> None:
    fsspec.filesystem("memory").pipe("/listed/a.png", (pictures / "0.png").read_bytes())
    assert images("memory://listed") == ["memory:///listed/a.png"]


def test_paths_in_parquet_are_taken_from_its_folder_and_absolute_ones_as_they_are(pictures: Path) -> None:
    elsewhere = str(pictures / "inside" / "4.png")
    pq.write_table(pa.table({"path": ["1.png", None, elsewhere, "s3://bucket/x.png"]}), pictures / "list.parquet")
    assert images(pictures / "list.parquet") == [str(pictures / "1.png"), elsewhere, "s3://bucket/x.png"]


def test_parquet_of_bytes_is_a_chunk_for_each_row_group(pictures: Path) -> None:
    pq.write_table(pa.table({"image": [b"x"] * 5}), pictures / "bytes.parquet", row_group_size=2)
    chunks = list(find_chunks([str(pictures / "bytes.parquet")]))
    found = [(chunk.kind, chunk.row_group, chunk.first_row) for chunk in chunks]
    assert found == [("rows", 0, 0), ("rows", 1, 2), ("rows", 2, 4)]


def test_what_is_done_is_left_out_and_the_rest_is_packed_again() -> None:
    chunks = [Chunk("images", tuple(f"{part}{number}" for number in range(20))) for part in "abc"]
    chunks += [Chunk("video", ("v",)), Chunk("video", ("w",))]
    left = list(without_done(chunks, lambda url: url.startswith("b"), lambda name: name == "v#0"))
    assert [len(chunk.urls) for chunk in left if chunk.kind == "images"] == [32, 8]
    assert [chunk.urls for chunk in left if chunk.kind == "video"] == [("w",)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("missing.png", "There is no file "),
        ("*.gif", "gives no images"),
        ("nosuch://x/y.png", "cannot be opened"),
        ("empty", "gives no images"),
        ("broken.parquet", "Cannot read "),
        ("table.parquet", "has no column of images"),
    ],
)
def test_a_source_that_gives_nothing_is_one_sentence(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"number": [1]}), tmp_path / "table.parquet")
    with pytest.raises(InputError, match=said):
        images(source if "://" in source else tmp_path / source)
