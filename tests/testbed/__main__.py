"""Plan sizes and build times of the host test bed, as a table and as JSON.

python -m tests.testbed [RESULT.json]
"""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from br2net.files import write_text
from br2net.zoo import find_model

from . import loader

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "testbed-plans.json"


@dataclass(frozen=True)
class Row:
    """One build."""

    network: str
    form: str
    precision: str
    shapes: str
    targets: str
    onnx_bytes: int
    plan_bytes: int
    build_seconds: float
    build_cpu_seconds: float


def rows(folder: Path) -> Iterator[Row]:
    """Build everything; the RTX core is loaded."""
    from .bench import Bench

    bench = Bench(folder)

    def row(source: Path, form: str, precision: str, *profile: str, targets: tuple[str, ...] = ("any",)) -> Row:
        built = bench.build(source, *profile, targets=targets)
        sizes = source.stat().st_size, len(built.plan)
        shapes = str(built.record.profile)
        times = round(built.seconds, 2), round(built.cpu_seconds, 2)
        return Row(built.record.model.name, form, precision, shapes, ",".join(targets), *sizes, *times)

    for form in ("plain", "restructured"):
        source = bench.export("resnext101", form, 320, plain=form == "plain")
        yield row(source, form, "fp32")
        yield row(bench.fp16(source), form, "fp16")
    for form in ("plain", "restructured"):
        source = bench.export("mobile", form, 384, plain=form == "plain")
        yield row(source, form, "fp32")
        yield row(bench.fp16(source), form, "fp16")
    yield row(bench.int8(source, depthwise=True), "restructured", "int8")
    yield row(bench.int8(source, depthwise=False), "restructured", "int8, depthwise fp32")
    yield row(source, "restructured", "fp32", targets=("sm89",))
    yield row(source, "restructured", "fp32", targets=("sm86", "sm89", "sm120"))
    source = bench.export("mobile", "any", 384, any_size=True, batch=None)
    yield row(source, "restructured", "fp32", "1:2:4", "256x256:384x384:640x640")
    for name in ("mobile", "mobile-fp16", "mobile-int8"):
        shipped = folder / f"shipped-{name}.onnx"
        shipped.write_bytes(find_model(name).read_bytes())
        yield row(shipped, "as shipped", name.partition("-")[2] or "fp32", "1:1:8", "384x384")


def main() -> None:
    """Build, print, save."""
    missing = loader.why_not()
    if missing:
        sys.exit(f"There is no host test bed here: {missing}.")
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULT
    table = Table("network", "form", "precision", "input", "for", "ONNX MB", "plan MB", "build s", "CPU s")
    found = []
    with tempfile.TemporaryDirectory() as name:
        loader.build_forwarders(Path(name) / "forwarders")
        module = loader.load(Path(name) / "forwarders")
        sys.modules["tensorrt_rtx"] = module
        for row in rows(Path(name)):
            found.append(row)
            print(row, file=sys.stderr, flush=True)  # the whole takes minutes
            figures = row.onnx_bytes / 1e6, row.plan_bytes / 1e6, row.build_seconds, row.build_cpu_seconds
            texts = row.network, row.form, row.precision, row.shapes, row.targets
            table.add_row(*texts, *(f"{figure:.1f}" for figure in figures))
    Console(width=150).print(table)
    facts = {
        "what": "plans by TensorRT for RTX on a machine without a GPU; seconds are wall clock, other work may run beside",
        "core": vars(module)["__version__"],
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "plans": [asdict(row) for row in found],
    }
    write_text(out, json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
