"""Events by MQTT."""

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from br2net.errors import DeliveryError, InputError, MissingDependencyError
from br2net.live.alerts.event import AlertEvent, DeliveryCounts
from br2net.live.alerts.outbox import CAPACITY, Outbox, RetryPolicy

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)
TOPIC = "br2net"
KEEPALIVE_S = 20
LOOK_S = 0.2
END_S = 0.3


class MqttPublisher:
    """Publishes each event as JSON to `TOPIC/events` (QoS 1), and `online` or `offline` to `TOPIC/status` (retained).

    The broker may be absent at the start and go away at any time: events wait, at most `capacity` of them, and the
    oldest goes when there are more. An event may arrive twice where the broker went away before it confirmed; its `id`
    tells. A broker that sees this program vanish says `offline` for it.
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
            raise InputError(f"A broker is an address as mqtt://host/topic; {url.rsplit('@', 1)[-1]!r} is not.")
        self._where = f"{parts.hostname}:{port}"
        self._connected, self._closing = threading.Event(), threading.Event()
        self._said_down = False
        self._client = self._new_client(longest_wait_s)
        if parts.username is not None:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.connect_async(parts.hostname, port, KEEPALIVE_S)
        self._client.loop_start()
        forever = RetryPolicy(tries=1_000_000, first_s=LOOK_S, longest_s=float(longest_wait_s))
        self._outbox = Outbox(self.name, self._publish, forever, capacity)

    @property
    def counts(self) -> DeliveryCounts:
        """What became of the events so far; one counts as sent when the broker has confirmed it."""
        return self._outbox.counts

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._connected.is_set()

    def send(self, event: AlertEvent) -> None:
        """Queue one event; returns at once."""
        self._outbox.send(event)

    def close(self) -> None:
        """Give what is queued a moment, say `offline`, and disconnect."""
        if self._closing.is_set():
            return
        self._outbox.close(self._closing.set)
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
            raise MissingDependencyError("MQTT needs paho-mqtt; `pip install 'br2net[live]'` brings it.") from error
        client = Client(CallbackAPIVersion.VERSION2)
        client.will_set(f"{self.topic}/status", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, longest_wait_s)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        return client

    def _publish(self, event: AlertEvent) -> None:
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

    def _give_up_when_closing(self) -> None:
        if self._closing.is_set():
            raise DeliveryError(f"{self._where} is away and the program ends", retry=False)

    def _on_connect(
        self, client: "Client", data: Any, flags: "ConnectFlags", reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        if reason.is_failure:
            self._say_down(f"{self._where} refused: {reason}")
            return
        if self._said_down:
            log.warning("mqtt: %s is back.", self._where)
        self._said_down = False
        self._connected.set()
        client.publish(f"{self.topic}/status", "online", qos=1, retain=True)

    def _on_connect_fail(self, client: "Client", data: Any) -> None:
        self._say_down(f"{self._where} cannot be reached")

    def _on_disconnect(
        self,
        client: "Client",
        data: Any,
        flags: "DisconnectFlags",
        reason: "ReasonCode",
        properties: "Properties | None",
    ) -> None:
        self._connected.clear()
        if not self._closing.is_set():
            self._say_down(f"{self._where} went away ({reason})")

    def _say_down(self, what: str) -> None:
        if not self._said_down:
            log.warning("mqtt: %s; trying again until it is there.", what)
        self._said_down = True
