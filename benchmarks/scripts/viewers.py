"""Frames a second of the pipeline with the page and its viewers, against the pipeline without them.

Run it by hand: `python -m benchmarks.scripts.viewers [RESULT.json] [--rounds 5] [--frames 200]`. All cases are run once in
every round, so that a machine whose speed drifts slows all alike; ratios are medians of the ratios within a round.
Processor time a frame is that of this process, viewers not counted: it hardly depends on what else the machine does. The
viewers are WebSocket clients in a process of their own on the same machine that answer for every frame, as the page does,
and decode nothing; those asleep never read. The source is a file, which comes as fast as the pipeline takes it: a camera
of 30 frames a second leaves more room.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.scripts.pipeline import STREAMS, make_video, time_pipeline
from br2net.files import write_text
from br2net.live.web import PageInfo, WebOptions, WebPage
from br2net.live.web.hub import CREDIT
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "mobile"
CONNECT_S = 30.0


@dataclass(frozen=True)
class Case:
    """How many look on. `awake` and `asleep` are None where there is no page at all."""

    name: str
    awake: int | None
    asleep: int = 0


CASES = (
    Case("no page", None),
    Case("page, no viewer", 0),
    Case("1 viewer", 1),
    Case("4 viewers", 4),
    Case("8 viewers", 8),
    Case("1 viewer, 7 asleep", 1, 7),
)


@dataclass(frozen=True)
class Measured:
    """One case.

    Attributes:
        frames_per_second: median over rounds.
        of_no_page: this rate over that without a page, in the same round; median.
        of_one_viewer: the same over that of one viewer.
        cpu_ms_per_frame: processor time of the pipeline's process, all its threads; median.
        cpu_of_no_page: this over that without a page, in the same round; median.
        sent_per_viewer: frames that a viewer who is awake got, of those that went through; mean.
    """

    name: str
    frames_per_second: float
    of_no_page: float
    of_one_viewer: float
    cpu_ms_per_frame: float
    cpu_of_no_page: float
    sent_per_viewer: float


async def watch(url: str, awake: int, asleep: int) -> None:
    """Be the viewers, until the page closes."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def look(reads: bool) -> None:
        async with connect(url, compression=None, max_size=None, max_queue=4) as socket:
            try:
                while reads:
                    if isinstance(await socket.recv(), bytes):
                        await socket.send("shown")
                await asyncio.sleep(3600)
            except ConnectionClosed:
                return

    lookers = [asyncio.ensure_future(look(True)) for _ in range(awake)]
    sleepers = [asyncio.ensure_future(look(False)) for _ in range(asleep)]
    await asyncio.gather(*lookers)
    for sleeper in sleepers:
        sleeper.cancel()


@contextmanager
def viewers(page: WebPage, case: Case) -> "Iterator[None]":
    """The case's viewers, connected, in a process of their own."""
    count = (case.awake or 0) + case.asleep
    if not count:
        yield
        return
    url = page.url.replace("http", "ws") + "ws/view"
    command = [sys.executable, "-m", "benchmarks.scripts.viewers", "--watch", url, str(case.awake), str(case.asleep)]
    process = subprocess.Popen(command)
    try:
        end = time.monotonic() + CONNECT_S
        while len(page.hub.viewers) < count and time.monotonic() < end:
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Sample:
    """One run: frames a second, processor milliseconds a frame, share of the frames that a viewer who is awake got."""

    rate: float
    cpu_ms: float
    share: float


def time_case(case: Case, backend: Backend, video: Path, frames: int) -> Sample:
    """Run the pipeline once over the file."""
    if case.awake is None:
        began = time.process_time()
        pace, _ = time_pipeline(backend, video, [])
        return Sample(pace.rate, (time.process_time() - began) * 1000 / frames, 0.0)
    page = WebPage(PageInfo((video.name,), MODEL, backend.name), WebOptions(port=0))
    try:
        with viewers(page, case):
            began = time.process_time()
            pace, _ = time_pipeline(backend, video, [page])
            cpu_ms = (time.process_time() - began) * 1000 / frames
            to_awake = page.hub.sent - CREDIT * case.asleep
            return Sample(pace.rate, cpu_ms, to_awake / max(case.awake, 1) / page.hub.channel(None).sequence)
    finally:
        page.close()


def measure(frames: int, rounds: int) -> list[Measured]:
    """All cases, interleaved."""
    model = Path(str(resources.files("br2net").joinpath("models"))) / f"{MODEL}.onnx"
    samples: dict[str, list[Sample]] = {case.name: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        make_video(video, frames)
        with open_backend(model, "openvino", InferenceOptions(streams=STREAMS)) as backend:
            time_case(CASES[0], backend, video, frames)  # the first run of all is slower, whichever it is
            for _ in range(rounds):
                for case in CASES:
                    samples[case.name].append(time_case(case, backend, video, frames))
    rates = {name: np.array([item.rate for item in items]) for name, items in samples.items()}
    cpu = {name: np.array([item.cpu_ms for item in items]) for name, items in samples.items()}
    return [
        Measured(
            name,
            frames_per_second=_median(rates[name], 2),
            of_no_page=_median(rates[name] / rates["no page"], 3),
            of_one_viewer=_median(rates[name] / rates["1 viewer"], 3),
            cpu_ms_per_frame=_median(cpu[name], 2),
            cpu_of_no_page=_median(cpu[name] / cpu["no page"], 3),
            sent_per_viewer=round(float(np.mean([item.share for item in items])), 3),
        )
        for name, items in samples.items()
    ]


def _median(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", digits: int) -> float:
    return round(float(np.median(values)), digits)


def main() -> None:
    """Measure, print, and write JSON where a path was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--watch", nargs=3, metavar=("URL", "AWAKE", "ASLEEP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        url, awake, asleep = options.watch
        asyncio.run(watch(url, int(awake), int(asleep)))
        return
    load = [round(value, 2) for value in os.getloadavg()]
    cases = measure(options.frames, options.rounds)
    for case in cases:
        print(json.dumps(asdict(case)))
    if options.result is not None:
        facts = {"processors": len(os.sched_getaffinity(0)), "load_before": load, "rounds": options.rounds}
        write_text(options.result, json.dumps(facts | {"cases": [asdict(case) for case in cases]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
