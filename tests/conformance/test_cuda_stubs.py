"""The signatures that were written by hand, against pycuda and cuda.bindings where they are installed. No GPU is needed."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

STUBS = Path(__file__).parent / "stubs"
BINDINGS = ast.parse((STUBS / "cuda-bindings-13" / "cuda" / "bindings" / "driver.pyi").read_text(encoding="utf-8"))
FUNCTIONS = {
    item.name: [part.arg for part in item.args.args] for item in BINDINGS.body if isinstance(item, ast.FunctionDef)
}
ENUMERATIONS = {
    item.name: {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in item.body if isinstance(line, ast.Assign)
    }
    for item in BINDINGS.body
    if isinstance(item, ast.ClassDef) and item.bases
}


@pytest.fixture(scope="module")
def bindings() -> ModuleType:
    return pytest.importorskip("cuda.bindings.driver", exc_type=ImportError)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_cuda_bindings_has_the_parameters_of_its_stub(bindings: ModuleType, name: str) -> None:
    first = (getattr(bindings, name).__doc__ or "").splitlines()[0]
    signature = re.fullmatch(rf"{name}\((.*)\)", first)
    assert signature is not None, first
    real = [part.split(":")[0].split()[-1] for part in signature[1].split(",")]
    assert real == FUNCTIONS[name]


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_an_enumeration_of_cuda_bindings_has_the_values_of_its_stub(bindings: ModuleType, name: str) -> None:
    real: Any = getattr(bindings, name)
    assert {member: int(getattr(real, member)) for member in ENUMERATIONS[name]} == ENUMERATIONS[name]


def test_pycuda_has_every_name_of_its_stub() -> None:
    try:
        driver = importlib.import_module("pycuda.driver")
    except ImportError as error:
        pytest.skip(f"pycuda does not load here ({error})")
    stub = ast.parse((STUBS / "pycuda-2026.1" / "pycuda" / "driver.pyi").read_text(encoding="utf-8"))
    for item in stub.body:
        if isinstance(item, ast.FunctionDef):
            assert callable(getattr(driver, item.name))
        elif isinstance(item, ast.ClassDef):
            methods = {line.name for line in item.body if isinstance(line, ast.FunctionDef)}
            assert methods <= set(dir(getattr(driver, item.name))), item.name
