"""Events by MQTT."""

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from br2net.errors import DeliveryError, InputError, MissingDependencyError
from br2net.live.alerts.events import AlertEvent
from br2net.live.alerts.targets import CAPACITY, Outbox, RetryPolicy

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)
TOPIC = "br2net"
KEEPALIVE_S = 20
LOOK_S = 0.2
END_S = 0.3


class MqttPublisher(Outbox):
    """Publishes each event as JSON to `TOPIC/events` (QoS 1), and `online` or `offline` to `TOPIC/status` (retained).

    The broker may be absent at the start and go away at any time: events wait, at most `capacity` of them, and the
    oldest goes when there are more. One counts as sent when the broker has confirmed it. An event may arrive twice, with
    the same `id`, if the broker went away before it confirmed. A broker that sees this program vanish publishes `offline`.
    """

    name = "mqtt"

    def __init__(self, url: str, capacity: int = CAPACITY, longest_wait_s: int = 30) -> None:
        """Begin connecting to `mqtt://[user:password@]host[:port][/topic]`; `mqtts://` is the same over TLS.

        Raises:
            InputError: if the address is not of that form.
            MissingDependencyError: if paho-mqtt is not installed.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        except ValueError:
            port = -1
        self.topic = unquote(parts.path).strip("/") or TOPIC
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == -1 or set(self.topic) & set("+#\0"):
            shown = url.rsplit("@", 1)[-1]  # without the password
            raise InputError(f"The address of a broker must have the form mqtt://host/topic, got {shown!r}.")
        self._where = f"{parts.hostname}:{port}"
        self._connected, self._ending = threading.Event(), threading.Event()
        self._warned = False
        self._client = self._new_client(longest_wait_s)
        if parts.username is not None:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.connect_async(parts.hostname, port, KEEPALIVE_S)
        self._client.loop_start()
        forever = RetryPolicy(tries=1_000_000, first_s=LOOK_S, longest_s=float(longest_wait_s))
        super().__init__(forever, capacity)

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._connected.is_set()

    def close(self) -> None:
        """Give what is queued a moment, publish `offline`, and disconnect."""
        if self._ending.is_set():
            return
        super().close()
        if self.connected:
            goodbye = self._client.publish(f"{self.topic}/status", "offline", qos=1, retain=True)
            with suppress(RuntimeError):  # it went away in this very moment
                goodbye.wait_for_publish(END_S)
        self._client.disconnect()
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(END_S)  # a connection being tried takes longer; its thread ends with the program

    def _new_client(self, longest_wait_s: int) -> "Client":
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "MQTT needs paho-mqtt, which is not installed. Run `pip install 'br2net[live]'`."
            ) from error
        client = Client(CallbackAPIVersion.VERSION2)
        client.will_set(f"{self.topic}/status", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, longest_wait_s)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        return client

    def _deliver(self, event: AlertEvent) -> None:
        while not self._connected.wait(LOOK_S):
            self._give_up_when_closing()
        message = self._client.publish(f"{self.topic}/events", event.to_json(), qos=1)
        try:
            while not message.is_published():  # the client sends it again by itself after a reconnection
                message.wait_for_publish(LOOK_S)
                if not message.is_published():
                    self._give_up_when_closing()
        except RuntimeError as error:
            raise DeliveryError(f"{self._where}: {error}", retry=True) from error

    def _interrupt(self) -> None:
        self._ending.set()

    def _give_up_when_closing(self) -> None:
        if self._ending.is_set():
            raise DeliveryError(f"{self._where} is away and the program ends", retry=False)

    def _on_connect(
        self, client: "Client", data: Any, flags: "ConnectFlags", reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        if reason.is_failure:
            self._warn_down(f"{self._where} refused: {reason}")
            return
        if self._warned:
            log.warning("mqtt: %s is back.", self._where)
        self._warned = False
        self._connected.set()
        client.publish(f"{self.topic}/status", "online", qos=1, retain=True)

    def _on_connect_fail(self, client: "Client", data: Any) -> None:
        self._warn_down(f"{self._where} cannot be reached")

    def _on_disconnect(
        self,
        client: "Client",
        data: Any,
        flags: "DisconnectFlags",
        reason: "ReasonCode",
        properties: "Properties | None",
    ) -> None:
        self._connected.clear()
        if not self._ending.is_set():
            self._warn_down(f"{self._where} went away ({reason})")

    def _warn_down(self, what: str) -> None:
        if not self._warned:
            log.warning("mqtt: %s; trying again until it is there.", what)
        self._warned = True
