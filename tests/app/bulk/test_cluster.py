"""Bulk runs on a real Ray cluster of several nodes on this machine."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("ray", reason="the extra bulk is not installed")
import ray
from ray.cluster_utils import Cluster

from br2net.bulk import BulkOptions, ClusterOptions, ModelChoice, run_bulk
from br2net.bulk.cluster import Attempts, run_carefully
from br2net.bulk.row import Result, Row
from br2net.bulk.sources import Chunk, find_chunks
from br2net.bulk.worker import Worker
from br2net.errors import BackendError, ModelError

from .conftest import rows_of

IMAGES = 320


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, ten chunks of them, each unlike any other; two are broken."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        cv2.imwrite(str(folder / f"{number:03d}.png"), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    for name in ("007.png", "300.png"):
        (folder / name).write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that does no work and two nodes of one CPU."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def nodes_of_actors() -> set[str]:
    """The nodes on which living actors run."""
    found = ray._private.state.actors().values()
    return {actor["Address"]["NodeID"] for actor in found if actor["State"] == "ALIVE"}


@pytest.mark.slow
def test_a_node_that_dies_costs_no_image_and_doubles_none(
    cluster: Cluster, many: Path, choice: ModelChoice, tmp_path: Path
) -> None:
    killed: list[Any] = []

    def kill_a_node_at_work(done: int, total: int | None) -> None:
        assert total == IMAGES
        if killed or done < 32:
            return
        busy = nodes_of_actors()
        victim = next(node for node in cluster.worker_nodes if node.node_id in busy)
        cluster.remove_node(victim, allow_graceful=False)
        killed.append(victim.node_id)

    address = cluster.address
    summary = run_bulk(
        [str(many)], str(tmp_path / "ray"), choice, BulkOptions(), ClusterOptions(address), kill_a_node_at_work
    )
    ray.init(address, log_to_driver=False)
    assert [node["Alive"] for node in ray.nodes() if node["NodeID"] in killed] == [False]
    assert (summary.images, summary.errors, summary.done_before) == (IMAGES, 2, 0)
    run_bulk([str(many)], str(tmp_path / "alone"), choice)
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "alone")
    assert len(rows_of(tmp_path / "ray")) == IMAGES
    ray.shutdown()


@pytest.mark.slow
def test_a_cluster_goes_on_with_what_a_run_alone_began(
    cluster: Cluster, many: Path, choice: ModelChoice, tmp_path: Path
) -> None:
    first = run_bulk([str(many / "00*.png")], str(tmp_path / "out"), choice, BulkOptions(maps=True))
    summary = run_bulk(
        [str(many / "0[0-4]*.png")],
        str(tmp_path / "out"),
        choice,
        BulkOptions(maps=True),
        ClusterOptions(cluster.address),
    )
    assert (first.images, summary.images, summary.done_before) == (10, 40, 10)
    rows = rows_of(tmp_path / "out")
    assert len({row["image"] for row in rows}) == len(rows) == 50
    assert all((tmp_path / "out" / row["map"]).is_file() for row in rows if not row["error"])


@pytest.mark.slow
def test_a_model_that_no_node_can_load_is_one_sentence(
    cluster: Cluster, many: Path, choice: ModelChoice, tmp_path: Path
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="is not an ONNX file"):
        run_bulk(
            [str(many)],
            str(tmp_path / "out"),
            replace(choice, model=str(tmp_path / "broken.onnx")),
            cluster=ClusterOptions(cluster.address),
        )


def test_no_cluster_at_an_address_is_one_sentence(many: Path, choice: ModelChoice, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"There is no Ray cluster at 127\.0\.0\.1:1: "):
        run_bulk([str(many)], str(tmp_path / "out"), choice, cluster=ClusterOptions("127.0.0.1:1"))


class Deadly(Worker):
    """A worker that dies at one image."""

    def run(self, chunks: Iterable[Chunk]) -> Iterator[Result]:
        for chunk in chunks:
            if any(url.endswith("2.png") for url in chunk.urls):
                raise SystemExit
            yield from super().run([chunk])


def test_an_image_that_kills_its_worker_becomes_a_row_with_an_error(pictures: Path, choice: ModelChoice) -> None:
    (chunk,) = find_chunks([str(pictures)])
    attempts = Attempts()
    rows: dict[str, Row] = {}
    deaths = 0
    with closing(Deadly(choice, BulkOptions())) as worker:
        while len(rows) < 5:
            try:
                for result in run_carefully(worker, chunk, attempts.begin, attempts.end):
                    rows |= {row.image: row for row in result.rows}
            except SystemExit:
                deaths += 1
    failed = {image: row.error for image, row in rows.items() if row.error}
    assert failed == {str(pictures / "2.png"): f"The worker died at {pictures / '2.png'}, time after time."}
    assert deaths == 4
