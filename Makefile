# What there is to run: `make help`. Needs a package registry; `make test` also Python 3.11 or newer, a C++ compiler and
# CMake 3.18. PIP_ARGS goes to pip: where plain `torch` brings gigabytes of CUDA, name the index of its CPU builds there.
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
LOWEST_VENV ?= .venv-lowest
PIP_ARGS ?=
TEST_ARGS ?=

BIN := $(VENV)/bin
DEMO_BIN := $(DEMO_VENV)/bin
SETUP := pyproject.toml setup.py setup.cfg
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check install lint native tests lowest triton clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO_VENV)/.installed ## find what is out of focus in one photograph, in an environment of its own
	@photograph="$$($(DEMO_BIN)/python -c 'import sklearn.datasets as d, pathlib; print(pathlib.Path(d.__file__).parent / "images" / "flower.jpg")')" \
		&& $(DEMO_BIN)/br2net detect "$$photograph" -o demo && cp "$$photograph" demo/flower.jpg
	@echo "The pictures are in $(CURDIR)/demo: flower.jpg, flower_blur.png (white = blurred) and flower_overlay.png."

test: install ## everything that has to pass: format, lint, types, imports, native build, tests
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint native $(VENV)/.pycuda
	$(MAKE) --no-print-directory tests

check: TEST_ARGS += -m "not slow"
check: lint tests ## the quick part of `make test`, in the environment that it made

# The editable install is a farm of links made at install time, so it is made anew each time: seconds, no download.
install: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

native: ## the C++ part, where the installation builds it, with the libraries for tests
	cmake -S . -B build/native -DCMAKE_BUILD_TYPE=Release -DBR2NET_TESTBED=ON
	cmake --build build/native --parallel 2

tests:
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal $(TEST_ARGS)

# Python 3.10 or 3.11, which those versions have wheels for. What needs PyTorch is not among the tests.
LOWEST_TESTS := $(addprefix tests/,app/test_blur_map.py app/test_detector.py app/test_shipped_int8.py app/test_zoo.py \
	app/cli/test_detect.py runtime/test_images.py runtime/test_metadata.py runtime/test_model_file.py runtime/native)

lowest: $(LOWEST_VENV)/.installed ## the quick tests with the lowest versions of dependencies that pyproject.toml allows
	rm -rf build/lib
	BR2NET_CUDA=0 $(LOWEST_VENV)/bin/pip install --quiet $(PIP_ARGS) --no-deps --force-reinstall .
	OMP_NUM_THREADS=1 $(LOWEST_VENV)/bin/pytest -m "not slow and not gpu and not network" $(LOWEST_TESTS)

triton: ## a Triton server for its tests, in an environment of its own: it wants an older NumPy
	test -x build/triton/environment/bin/python || $(PYTHON) -m venv build/triton/environment
	build/triton/environment/bin/pip install --quiet $(PIP_ARGS) nvidia-pytriton==0.7.0 'numpy<2' 'openvino>=2026.0'

# torch first and by itself: the extras then keep it, whichever build of it this is.
$(VENV)/.installed: $(SETUP) constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_ARGS) --upgrade pip
	$(BIN)/pip install --quiet $(PIP_ARGS) -c constraints.txt torch setuptools wheel
	$(BIN)/pip install --quiet $(PIP_ARGS) -c constraints.txt --editable '.[dev]'
	touch $@

$(LOWEST_VENV)/.installed: $(SETUP) constraints-lowest.txt
	test -x $(LOWEST_VENV)/bin/python || $(PYTHON) -m venv $(LOWEST_VENV)
	$(LOWEST_VENV)/bin/pip install --quiet $(PIP_ARGS) --upgrade pip
	BR2NET_NATIVE=0 $(LOWEST_VENV)/bin/pip install --quiet $(PIP_ARGS) -c constraints-lowest.txt '.[onnxruntime]' hypothesis pytest
	touch $@

# pycuda has no wheels. It is compiled without a GPU and a CUDA toolkit, in about two minutes, and kept in build/pycuda.
$(VENV)/.pycuda: tests/runtime/cuda/build_pycuda.py $(VENV)/.installed
	$(BIN)/python tests/runtime/cuda/build_pycuda.py > build/pycuda.log 2>&1 || (tail -40 build/pycuda.log; exit 1)
	touch $@

# setuptools packs what an earlier build left in build/lib, modules that are gone included.
$(DEMO_VENV)/.installed: $(SETUP) $(shell find app live runtime -name '*.py' -o -name '*.onnx' -o -name '*.cpp' -o -name '*.h' -o -name '*.cu')
	test -x $(DEMO_BIN)/python || $(PYTHON) -m venv $(DEMO_VENV)
	rm -rf build/lib
	$(DEMO_BIN)/pip install --quiet $(PIP_ARGS) '.[demo]'
	touch $@

clean: ## remove what these targets made, environments included
	rm -rf build dist demo $(VENV) $(DEMO_VENV) $(LOWEST_VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
