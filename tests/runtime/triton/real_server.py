"""NVIDIA's own server, from the package nvidia-pytriton, in an environment of its own (it wants an older NumPy)."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from filelock import FileLock

ENVIRONMENT = "BR2NET_TRITON_ENV"  # a virtual environment that has it already


class Unavailable(Exception):
    """The server cannot be had here."""


def prepare(folder: Path) -> Path:
    """The environment, which `make triton` makes; and the server with this Python's stub, put into `folder` beside it.

    Raises:
        Unavailable: if there is no such environment.
    """
    environment = Path(os.environ.get(ENVIRONMENT, folder / "environment"))
    if not (environment / "bin" / "python").is_file():
        raise Unavailable(f"there is no Triton server: `make triton` brings one (0.5 GB), or {ENVIRONMENT} names one")
    with FileLock(folder / "server.lock"):
        _copy_server(environment, folder / "server")
    return environment


def _copy_server(environment: Path, server: Path) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    if not server.is_dir():
        shutil.copytree(packages / "pytriton" / "tritonserver", server)
        stub = (
            server / "python_backend_stubs" / packages.parent.name.removeprefix("python") / "triton_python_backend_stub"
        )
        if not stub.is_file():
            raise Unavailable(f"nvidia-pytriton has no stub for {packages.parent.name}")
        shutil.copy(stub, server / "backends" / "python")
        for program in (server / "bin" / "tritonserver", server / "backends" / "python" / stub.name):
            program.chmod(0o755)


class RealServer:
    """A Triton server process over a model repository."""

    def __init__(self, folder: Path, environment: Path, repository: Path) -> None:
        (self._packages,) = environment.glob("lib/python*/site-packages")
        self._folder, self._environment, self._repository = folder, environment, repository
        self.http_port, self.grpc_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until its models are ready."""
        libraries = [str(self._packages / "nvidia_pytriton.libs"), _python_libraries(self._environment)]
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(libraries),
            "PATH": f"{self._environment / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self._environment),
            "PYTHONPATH": str(self._packages),
        }
        command = [self._folder / "server" / "bin" / "tritonserver", f"--model-repository={self._repository}"]
        command += [f"--backend-directory={self._folder / 'server' / 'backends'}", "--allow-metrics=false"]
        command += [f"--http-port={self.http_port}", f"--grpc-port={self.grpc_port}"]
        command += ["--http-address=127.0.0.1", "--grpc-address=127.0.0.1"]
        with (self._repository.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 120.0
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._repository.parent / "server.log").read_text(errors="replace")[-3000:])
            time.sleep(0.2)

    def kill(self) -> None:
        """End it and its children at once, as a crash or a lack of memory does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def url(self, model: str) -> str:
        """Of a model, for this package."""
        return f"triton://127.0.0.1:{self.http_port}/{model}"

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/v2/health/ready", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _python_libraries(environment: Path) -> str:
    code = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
    run = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()
