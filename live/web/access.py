"""Who may see the page: addresses, names, origins, the token."""

import hashlib
import hmac
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from br2net.errors import InputError
from br2net.live.web.options import WebOptions

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Access:
    """Decides over requests by their headers alone.

    Without a token only this machine is served, and only under its local names: a page of the web that has its own name
    point here (DNS rebinding) is refused. With one, every request has to bring it, as `Authorization: Bearer` or as
    the cookie that the login sets; the cookie holds a digest, not the token. A page of another origin gets no WebSocket
    and no POST.
    """

    def __init__(self, options: WebOptions) -> None:
        """Check the options.

        Raises:
            InputError: if the address is open to others and there is no token.
        """
        self._token = options.token.encode() if options.token is not None else None
        if self._token is None and not is_local(options.host):
            raise InputError(
                f"On {options.host} others can reach the page, so it needs a token: give --token, or set BR2NET_TOKEN."
            )
        self._local_names = {*LOCAL_NAMES, options.host.lower()}

    @property
    def needs_token(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    def host_allowed(self, host: str) -> bool:
        """Whether the server may be called by this name (the `Host` header)."""
        if self._token is not None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and name.lower() in self._local_names

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Whether a page of `origin` may act here. Programs send none; browsers always do for WebSockets and POST."""
        if origin is None:
            return True
        try:
            return hmac.compare_digest(urlsplit(origin).netloc.lower().encode(), host.lower().encode())
        except ValueError:
            return False

    def token_is(self, token: str) -> bool:
        """Whether this is the token, in a time that does not tell how much of it is right."""
        return self._token is not None and hmac.compare_digest(token.encode(errors="replace"), self._token)

    def cookie_value(self) -> str:
        """What the cookie holds after the login: a digest of the token, valid for as long as the token is."""
        return hmac.new(self._token or b"", b"br2net page", hashlib.sha256).hexdigest()

    def cookie_name(self, host: str) -> str:
        """Name of the cookie. Browsers share cookies among the ports of a machine, so it carries the port."""
        try:
            port = urlsplit(f"//{host}").port or 80
        except ValueError:
            port = 80
        return f"br2net_{port}"

    def admitted(self, authorization: str, cookies: str, host: str) -> bool:
        """Whether these headers bring the token, or none is needed."""
        if self._token is None:
            return True
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self.token_is(value.strip())
        try:
            morsel = SimpleCookie(cookies).get(self.cookie_name(host))
        except (CookieError, ValueError):
            return False
        return morsel is not None and hmac.compare_digest(
            morsel.value.encode(errors="replace"), self.cookie_value().encode()
        )


def is_local(host: str) -> bool:
    """Whether `host` can be reached from this machine only.

    Raises:
        InputError: if there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"There is no address {host!r} here to serve at.") from error
    return all(ipaddress.ip_address(str(item[4][0]).partition("%")[0]).is_loopback for item in found)
