"""Throughput and latency of models on a Triton server, as many clients at once see them.

Run it by hand, beside a server: `python -m benchmarks.scripts.triton RESULT.json URL… [--clients 8] [--seconds 20]`, for
example with `triton://127.0.0.1:8000/mobile triton://127.0.0.1:8000/mobile-single`. Each client sends one image at a time and
waits for its map. The ratio is to the last model.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.scripts.common import environment, interleaved, median, save
from br2net.benchmarks.latency.throughput import measure_throughput
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.triton import TritonBackend

ROUNDS = 4


def main() -> None:
    """Measure all models in interleaved rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each model")
    options = parser.parse_args()
    ways = {}
    for url in options.urls:
        backend = TritonBackend(url, InferenceOptions(streams=options.clients))
        frame = np.random.default_rng(0).integers(0, 256, (backend.height, backend.width, 3), dtype=np.uint8)
        ways[url] = partial(
            measure_throughput, [backend] * options.clients, [frame], 1, seconds=options.seconds / ROUNDS
        )
    found = interleaved(ways, ROUNDS, warm_up=0)
    rates = {url: median([item.images_per_second for item in items]) for url, items in found.items()}
    loads = [
        {
            "url": url,
            "clients": options.clients,
            "images_per_second": rates[url],
            "median_ms": median([item.median_ms for item in items]),
            "ratio": round(rates[url] / rates[options.urls[-1]], 3),
        }
        for url, items in found.items()
    ]
    save(options.result, {"environment": environment(), "loads": loads})


if __name__ == "__main__":
    main()
