import getpass
import json
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from br2net.errors import InputError
from br2net.live.alerts import MqttPublisher
from tests.live.alerts.conftest import EventMaker

mqtt = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'br2net[live]'")
DEADLINE_S = 30.0


class Broker:
    """A real MQTT broker in a process of its own, on a port that stays the same when it is started again."""

    def __init__(self, kind: str, folder: Path, certificate: Path | None = None, password: str | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        config = folder / "broker.conf"
        if kind == "mosquitto":
            program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
            if not Path(program).exists():
                pytest.skip("mosquitto is not installed")
            lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if password else 'true'}"]
            if certificate is not None:
                lines += [f"certfile {certificate}", f"keyfile {certificate}"]
            if password is not None:
                passwords = folder / "passwords"
                passwords.write_text(f"lens:{password}\n")
                subprocess.run([shutil.which("mosquitto_passwd") or "mosquitto_passwd", "-U", passwords], check=True)
                lines += [f"password_file {passwords}", f"user {getpass.getuser()}"]
            config.write_text("\n".join(lines) + "\n")
            self.command = [program, "-c", str(config)]
        else:
            pytest.importorskip("amqtt", reason="the broker amqtt is not installed: pip install 'br2net[dev]'")
            config.write_text(
                f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{self.port}\n"
                "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
            )
            run = "import sys; from amqtt.scripts.broker_script import main; sys.argv[0] = 'amqtt'; main()"
            self.command = [sys.executable, "-c", run, "-c", str(config)]
        self.log = folder / "broker.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail(f"the broker did not start: {self.log.read_text()}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/lab/bench"


class Listener:
    """Another program at the broker."""

    def __init__(self, broker: Broker) -> None:
        self.messages: queue.Queue[tuple[str, str]] = queue.Queue()
        subscribed: queue.Queue[bool] = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda client, data, message: self.messages.put(
            (message.topic, message.payload.decode())
        )
        self.client.on_subscribe = lambda *args: subscribed.put(True)
        self.client.on_connect = lambda client, *args: client.subscribe("lab/bench/#", qos=1)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        subscribed.get(timeout=DEADLINE_S)
        self.subscribed = subscribed

    def next(self) -> tuple[str, str]:
        return self.messages.get(timeout=DEADLINE_S)

    def next_event(self) -> dict[str, object]:
        while True:
            topic, text = self.next()
            if topic == "lab/bench/events":
                found: dict[str, object] = json.loads(text)
                return found

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(params=["amqtt", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    server = Broker(request.param, tmp_path)
    yield server
    server.kill()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    client = Listener(broker)
    yield client
    client.close()


def wait_until_away(publisher: MqttPublisher) -> None:
    end = time.monotonic() + DEADLINE_S
    while publisher.connected and time.monotonic() < end:
        time.sleep(0.02)
    assert not publisher.connected


def test_events_and_status_are_published(broker: Broker, listener: Listener, make_event: EventMaker) -> None:
    publisher = MqttPublisher(broker.url)
    assert listener.next() == ("lab/bench/status", "online")
    publisher.send(make_event(3))
    topic, text = listener.next()
    assert topic == "lab/bench/events"
    assert json.loads(text)["frame"] == 3
    publisher.close()
    assert listener.next() == ("lab/bench/status", "offline")
    assert publisher.counts.sent == 1


def test_events_of_an_outage_arrive_once_the_broker_is_back(
    broker: Broker, listener: Listener, make_event: EventMaker
) -> None:
    publisher = MqttPublisher(broker.url, longest_wait_s=1)
    publisher.send(make_event(0))
    assert listener.next_event()["frame"] == 0
    broker.kill()
    wait_until_away(publisher)
    for frame in (1, 2, 3):
        publisher.send(make_event(frame))
    listener.client.disconnect()  # in a real outage other programs come back sooner or later; here, first
    listener.client.loop_stop()
    broker.start()
    back = Listener(broker)
    frames = [back.next_event()["frame"] for _ in range(3)]
    publisher.close()
    back.close()
    assert frames == [1, 2, 3]
    assert publisher.counts.sent == 4


def test_a_program_that_is_killed_is_told_to_be_offline(broker: Broker, listener: Listener) -> None:
    run = f"from br2net.live.alerts import MqttPublisher as P; import time; p = P({broker.url!r}); time.sleep(60)"
    program = subprocess.Popen([sys.executable, "-c", run])
    assert listener.next() == ("lab/bench/status", "online")
    program.kill()
    program.wait()
    assert listener.next() == ("lab/bench/status", "offline")


def test_a_broker_that_is_never_there_holds_nobody_up_and_the_oldest_events_go(make_event: EventMaker) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    publisher = MqttPublisher(f"mqtt://127.0.0.1:{port}", capacity=10)
    for frame in range(100):
        publisher.send(make_event(frame))
    counts = publisher.counts
    assert counts.sent == 0
    assert counts.waiting + counts.dropped == 100
    assert counts.waiting in (10, 11)  # ten in the queue, and one in hand
    publisher.close()
    publisher.close()
    after = publisher.counts
    assert (after.waiting, after.dropped + after.failed) == (0, 100)


def test_tls_and_a_password_are_used(
    tmp_path: Path, certificate: Path, make_event: EventMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto is not installed")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    broker = Broker("mosquitto", tmp_path, certificate, "p@ss")
    outcomes = []
    for password in ("p%40ss", "wrong"):
        publisher = MqttPublisher(f"mqtts://lens:{password}@127.0.0.1:{broker.port}/lab")
        publisher.send(make_event())
        end = time.monotonic() + (DEADLINE_S if password == "p%40ss" else 1.0)
        while not publisher.counts.sent and time.monotonic() < end:
            time.sleep(0.02)
        outcomes.append(publisher.counts.sent)
        publisher.close()
    broker.kill()
    assert outcomes == [1, 0]


@pytest.mark.parametrize("url", ["", "host/topic", "http://host", "mqtt://", "mqtt://host:x", "mqtt://host/a/%23"])
def test_an_address_that_is_none_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(InputError, match="The address of a broker must have the form mqtt://host/topic"):
        MqttPublisher(url)
