"""Throughput and latency of models on a Triton server, as many clients at once see them.

Run it by hand, beside a server: `python -m benchmarks.scripts.triton RESULT.json URL… [--clients 8] [--seconds 20]`, as
`triton://127.0.0.1:8000/mobile triton://127.0.0.1:8000/mobile-single`. Each client sends one image at a time and waits for
its map. Rounds of the models are interleaved, so that a machine whose speed drifts slows all alike; the ratio is to the last.
"""

import argparse
import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.environment import processor
from br2net.files import write_text
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.triton import TritonBackend

ROUNDS = 4


@dataclass(frozen=True)
class Load:
    """What the clients of one model saw: images a second of all together, and milliseconds from request to map."""

    url: str
    clients: int
    images: int
    images_per_second: float
    median_ms: float
    p95_ms: float
    ratio: float


def measure(backend: TritonBackend, clients: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of each request, and the seconds that all of it took."""
    image = np.random.default_rng(0).standard_normal((1, 3, backend.height, backend.width), np.float32)
    times: list[list[float]] = [[] for _ in range(clients)]
    start = threading.Barrier(clients + 1)

    def ask(own: list[float]) -> None:
        backend.infer(image)
        start.wait()
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            backend.infer(image)
            own.append(1000.0 * (time.perf_counter() - began))

    threads = [threading.Thread(target=ask, args=(own,)) for own in times]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return [item for own in times for item in own], time.perf_counter() - began


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each model")
    options = parser.parse_args()
    backends = {url: TritonBackend(url, InferenceOptions(streams=options.clients)) for url in options.urls}
    seen: dict[str, list[float]] = {url: [] for url in backends}
    spent = dict.fromkeys(backends, 0.0)
    loads_before = os.getloadavg()[0]
    for _ in range(ROUNDS):
        for url, backend in backends.items():
            times, seconds = measure(backend, options.clients, options.seconds / ROUNDS)
            seen[url] += times
            spent[url] += seconds
    rates = {url: len(seen[url]) / spent[url] for url in backends}
    last = rates[options.urls[-1]]
    loads = []
    for url, times in seen.items():
        median, late = (float(np.percentile(times, share)) for share in (50, 95))
        loads.append(Load(url, options.clients, len(times), rates[url], median, late, rates[url] / last))
        print(f"{url}: {rates[url]:.1f} images/s ({rates[url] / last:.2f}x), median {median:.0f} ms, p95 {late:.0f} ms")
    facts = {"processor": processor(), "cpus": os.cpu_count(), "load_average_before": loads_before}
    write_text(options.result, json.dumps(facts | {"loads": [asdict(load) for load in loads]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
