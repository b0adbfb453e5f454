"""`triton://host:port/model`, understood."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

from br2net.errors import InputError

SCHEME = "triton://"
HTTP_PORT = 8000
FORM = "triton://host:port/model, or with /version and ?timeout=SECONDS&wait=SECONDS"


@dataclass(frozen=True)
class TritonAddress:
    """A model on a Triton server.

    Attributes:
        host, port: of the server's HTTP service.
        model, version: of the model; the version is empty for the server's newest.
        timeout_s: seconds without an answer after which one request counts as lost.
        wait_s: seconds through which a server that is gone, or busy, is asked again.
    """

    host: str
    port: int
    model: str
    version: str = ""
    timeout_s: float = 30.0
    wait_s: float = 30.0

    @property
    def server(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def path(self) -> str:
        """Of the model, in the server's HTTP service."""
        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        return f"/v2/models/{quote(self.model, safe='')}{version}"


def parse_address(url: str) -> TritonAddress:
    """Read such an address.

    Raises:
        InputError: if the text is of another form.
    """
    try:
        parts = urlsplit(url)
        names = [name for name in parts.path.split("/") if name]
        query = {name: float(value) for name, value in parse_qsl(parts.query, strict_parsing=bool(parts.query))}
        port = parts.port or HTTP_PORT
    except ValueError:
        names, query, port = [], {"": 0.0}, 0
    good = parts.hostname and 1 <= len(names) <= 2 and set(query) <= {"timeout", "wait"}
    if not url.startswith(SCHEME) or not good or not all(0.0 < value < 1e6 for value in query.values()):
        raise InputError(f"{url} is no model on a Triton server; such an address is {FORM}.")
    version = names[1] if len(names) == 2 else ""
    return TritonAddress(
        str(parts.hostname), port, names[0], version, query.get("timeout", 30.0), query.get("wait", 30.0)
    )
