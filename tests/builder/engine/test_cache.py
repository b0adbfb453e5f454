import hashlib
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest

from br2net.builder.engine.cache import EngineKey, cached_engine
from br2net.errors import InputError
from br2net.files import cache_folder
from br2net.runtime.engine_file import InputShape, Library, Profile, record_path, write_engine
from br2net.runtime.gpu import Gpu

from .conftest import record

PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + b"weights"
KEY = EngineKey(
    "ab" * 32, "fp16", Profile.fixed(InputShape(1, 64, 64)), Library("tensorrt", "10.3.0"), Gpu("Orin", "8.7")
)


def write_one(path: Path) -> None:
    write_engine(path, PLAN, record(plan_sha256=hashlib.sha256(PLAN).hexdigest(), plan_size_bytes=len(PLAN)))


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, onnx_sha256="cd" * 32),
        replace(KEY, precision="fp32"),
        replace(KEY, profile=Profile.fixed(InputShape(2, 64, 64))),
        replace(KEY, library=Library("tensorrt", "10.4.0")),
        replace(KEY, library=Library("tensorrt_rtx", "10.3.0")),
        replace(KEY, gpu=Gpu("Thor", "8.7")),
        replace(KEY, gpu=Gpu("Orin", "11.0")),
    ],
)
def test_every_part_of_a_key_makes_another_file(other: EngineKey) -> None:
    assert other.path("mobile") != KEY.path("mobile")


def test_equal_keys_are_one_file_in_the_cache_folder() -> None:
    assert replace(KEY).path("mobile") == KEY.path("mobile")
    assert KEY.path("mobile").is_relative_to(cache_folder())


def test_a_whole_engine_is_not_built_again(tmp_path: Path) -> None:
    built = []
    for _ in range(2):
        cached_engine(tmp_path / "x.engine", lambda path: (built.append(path), write_one(path)))
    assert len(built) == 1


@pytest.mark.parametrize("damage", ["cut", "no sidecar", "corrupt sidecar"])
def test_a_damaged_engine_is_built_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.engine"
    write_one(path)
    if damage == "cut":
        path.write_bytes(PLAN[:-3])
    elif damage == "no sidecar":
        record_path(path).unlink()
    else:
        record_path(path).write_text("{")
    cached_engine(path, write_one)
    assert path.read_bytes() == PLAN and record_path(path).is_file()


def test_a_failed_build_leaves_nothing_and_lets_the_next_one_in(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise InputError("no")

    path = tmp_path / "x.engine"
    with pytest.raises(InputError):
        cached_engine(path, fail)
    assert not path.exists()
    cached_engine(path, write_one)
    assert path.exists()


def build_slowly(path: Path) -> None:
    with (path.parent / "builds").open("a") as log:
        log.write("built\n")
    time.sleep(0.3)
    write_one(path)


def want(path: Path) -> None:
    cached_engine(path, build_slowly)


def test_four_processes_that_want_one_engine_build_it_once(tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    processes = multiprocessing.get_context("fork")
    workers = [processes.Process(target=want, args=(path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"
    assert path.read_bytes() == PLAN
