"""Frames a second of the pipeline with the page and its viewers, against the pipeline without them.

Run it by hand: `python -m benchmarks.scripts.viewers [RESULT.json] [--rounds 5] [--frames 200]`. Ratios are medians of those
within a round. Processor time is that of this process, viewers not counted: it hardly depends on what else the machine does.
The viewers are WebSocket clients in a separate process on the same machine that answer for every frame, as the page does,
and decode nothing; those asleep never read. The source is a file, which comes as fast as the pipeline takes it.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.scripts.common import environment, interleaved, median, save
from benchmarks.scripts.pipeline import STREAMS, make_video, run_pipeline
from br2net.live.web import PageInfo, WebOptions, WebPage
from br2net.live.web.hub import CREDIT
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.zoo import find_model

MODEL = "mobile"
CONNECT_S = 30.0
CASES: dict[str, tuple[int, int] | None] = {  # viewers awake and asleep; None for no page
    "no page": None,
    "page, no viewer": (0, 0),
    "1 viewer": (1, 0),
    "4 viewers": (4, 0),
    "8 viewers": (8, 0),
    "1 viewer, 7 asleep": (1, 7),
}


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
def viewers(page: WebPage, awake: int, asleep: int) -> Iterator[None]:
    """Connect viewers in a separate process while the block runs."""
    if not awake + asleep:
        yield
        return
    url = page.url.replace("http", "ws") + "ws/view"
    command = [sys.executable, "-m", "benchmarks.scripts.viewers", "--watch", url, str(awake), str(asleep)]
    process = subprocess.Popen(command)
    try:
        end = time.monotonic() + CONNECT_S
        while len(page.hub.viewers) < awake + asleep and time.monotonic() < end:
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def time_case(case: tuple[int, int] | None, backend: Backend, video: Path) -> tuple[float, float, float]:
    """Return frames a second, CPU milliseconds a frame, and the share of the frames that a viewer who is awake got."""
    if case is None:
        return *run_pipeline(backend, video, [])[1], 0.0
    awake, asleep = case
    page = WebPage(PageInfo((video.name,), MODEL, backend.name), WebOptions(port=0))
    try:
        with viewers(page, awake, asleep):
            summary, pace = run_pipeline(backend, video, [page])
            to_awake = page.hub.sent - CREDIT * asleep
            return *pace, to_awake / max(awake, 1) / summary.frames
    finally:
        page.close()


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--watch", nargs=3, metavar=("URL", "AWAKE", "ASLEEP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        url, awake, asleep = options.watch
        asyncio.run(watch(url, int(awake), int(asleep)))
        return
    facts = environment("openvino", "websockets")
    with (
        tempfile.TemporaryDirectory() as folder,
        open_backend(find_model(MODEL), "openvino", InferenceOptions(streams=STREAMS)) as backend,
    ):
        video = make_video(Path(folder) / "video.mp4", options.frames)
        ways = {name: partial(time_case, case, backend, video) for name, case in CASES.items()}
        found = {name: np.array(runs) for name, runs in interleaved(ways, options.rounds).items()}
    without, single = found["no page"], found["1 viewer"]
    cases = [
        {
            "name": name,
            "frames_per_second": median(runs[:, 0]),
            "of_no_page": median(runs[:, 0] / without[:, 0], 3),
            "of_one_viewer": median(runs[:, 0] / single[:, 0], 3),
            "cpu_ms_per_frame": median(runs[:, 1]),
            "cpu_of_no_page": median(runs[:, 1] / without[:, 1], 3),
            "sent_per_viewer": round(float(runs[:, 2].mean()), 3),
        }
        for name, runs in found.items()
    ]
    save(options.result, {"environment": facts, "rounds": options.rounds, "cases": cases})


if __name__ == "__main__":
    main()
