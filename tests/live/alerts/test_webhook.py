import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from br2net.errors import InputError
from br2net.live.alerts import Webhook
from br2net.live.alerts.targets import RetryPolicy
from tests.live.alerts.conftest import EventMaker

QUICK = RetryPolicy(tries=4, first_s=0.01, longest_s=0.02)


class Receiver:
    """A web server that notes what is posted, and answers with the next of `answers` (200 when there is none)."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []
        self.location = ""
        self.hangs = threading.Event()
        self.let_go = threading.Event()
        self.arrived = threading.Semaphore(0)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                receiver.headers.append({**self.headers})
                receiver.arrived.release()
                if receiver.hangs.is_set():
                    receiver.let_go.wait(30)
                    return
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.send_header("Location", receiver.location)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=20), f"only {len(self.bodies)} posts arrived"

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def test_events_are_posted_in_order_as_json(receiver: Receiver, make_event: EventMaker) -> None:
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/hook?room=3")
    for frame in range(5):
        webhook.send(make_event(frame))
    receiver.wait_for(5)
    webhook.close()
    assert [body["frame"] for body in receiver.bodies] == [0, 1, 2, 3, 4]
    assert receiver.bodies[0] == json.loads(make_event(0).to_json()) | {"id": receiver.bodies[0]["id"]}
    assert receiver.headers[0]["Content-Type"] == "application/json"
    assert webhook.counts.sent == 5


def test_a_login_in_the_address_is_sent_as_basic_authentication(receiver: Receiver, make_event: EventMaker) -> None:
    webhook = Webhook(f"http://lens:p%40ss@127.0.0.1:{receiver.port}/")
    webhook.send(make_event())
    receiver.wait_for(1)
    webhook.close()
    assert receiver.headers[0]["Authorization"] == "Basic bGVuczpwQHNz"


def test_a_receiver_that_is_overloaded_gets_the_event_again(receiver: Receiver, make_event: EventMaker) -> None:
    receiver.answers = [503, 429]
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/", retry=QUICK)
    webhook.send(make_event())
    receiver.wait_for(3)
    webhook.close()
    assert len({body["id"] for body in receiver.bodies}) == 1
    assert (webhook.counts.sent, webhook.counts.failed) == (1, 0)


def test_a_receiver_that_refuses_is_not_asked_again(receiver: Receiver, make_event: EventMaker) -> None:
    receiver.answers = [404]
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/", retry=QUICK)
    webhook.send(make_event(0))
    webhook.send(make_event(1))
    receiver.wait_for(2)
    webhook.close()
    assert [body["frame"] for body in receiver.bodies] == [0, 1]
    assert (webhook.counts.sent, webhook.counts.failed) == (1, 1)


def test_a_receiver_that_hangs_holds_nobody_up_and_what_is_lost_is_counted(
    receiver: Receiver, make_event: EventMaker
) -> None:
    receiver.hangs.set()
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/", timeout_s=60, capacity=10)
    webhook.send(make_event(0))
    receiver.wait_for(1)  # the first one hangs now, and would for a minute
    for frame in range(1, 101):
        webhook.send(make_event(frame))
    assert (webhook.counts.dropped, webhook.counts.waiting) == (90, 11)
    webhook.close()  # would wait for a minute, were the connection not ended
    assert (webhook.counts.sent, webhook.counts.failed, webhook.counts.dropped) == (0, 1, 100)


def test_a_receiver_that_times_out_gets_the_event_again(receiver: Receiver, make_event: EventMaker) -> None:
    receiver.hangs.set()
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/", timeout_s=0.1, retry=RetryPolicy(100, 0.01, 0.02))
    webhook.send(make_event(7))
    receiver.wait_for(2)
    receiver.hangs.clear()
    receiver.let_go.set()
    receiver.wait_for(1)
    webhook.close()
    assert webhook.counts.sent == 1


def test_events_of_an_outage_arrive_once_the_receiver_is_back(make_event: EventMaker) -> None:
    first = Receiver()
    port = first.port
    first.close()
    webhook = Webhook(f"http://127.0.0.1:{port}/", retry=RetryPolicy(1000, 0.02, 0.05))
    webhook.send(make_event(1))
    webhook.send(make_event(2))
    back = Receiver(port)
    back.wait_for(2)
    webhook.close()
    back.close()
    assert [body["frame"] for body in back.bodies] == [1, 2]


def test_https_is_spoken_to_a_receiver_whose_certificate_is_trusted_only(
    certificate: Path, make_event: EventMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure = Receiver()
    secure.server.socket = context.wrap_socket(secure.server.socket, server_side=True)
    stranger = Webhook(f"https://127.0.0.1:{secure.port}/", retry=RetryPolicy(tries=1))
    stranger.send(make_event(0))
    stranger.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = Webhook(f"https://127.0.0.1:{secure.port}/")
    trusting.send(make_event(1))
    secure.wait_for(1)
    trusting.close()
    secure.close()
    assert [body["frame"] for body in secure.bodies] == [1]
    assert (stranger.counts.sent, stranger.counts.failed) == (0, 1)


def test_after_closing_events_count_as_dropped(receiver: Receiver, make_event: EventMaker) -> None:
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/")
    webhook.close()
    webhook.close()
    webhook.send(make_event())
    assert webhook.counts.dropped == 1


@pytest.mark.parametrize("url", ["", "example.org/x", "ftp://host/x", "http://", "http://host:port/", "file:///etc"])
def test_an_address_that_is_none_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(InputError, match="The address of a webhook must have the form https://host/path"):
        Webhook(url)


def test_a_refused_address_is_told_without_its_password() -> None:
    with pytest.raises(InputError) as caught:
        Webhook("ftp://user:secret@host/x")
    assert "secret" not in str(caught.value)


def test_waiting_times_double_up_to_their_limit() -> None:
    policy = RetryPolicy(tries=6, first_s=0.5, longest_s=3.0)
    assert [policy.wait_s(tried) for tried in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_redirection_is_not_followed(receiver: Receiver, make_event: EventMaker) -> None:
    receiver.answers = [307]
    receiver.location = f"http://127.0.0.1:{receiver.port}/elsewhere"
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/", retry=QUICK)
    webhook.send(make_event())
    receiver.wait_for(1)
    webhook.close()
    assert len(receiver.bodies) == 1
    assert webhook.counts.failed == 1


def test_a_failed_delivery_is_logged_without_password_and_query(
    make_event: EventMaker, caplog: pytest.LogCaptureFixture
) -> None:
    closed = Receiver()
    closed.close()
    webhook = Webhook(f"http://lens:hidden@127.0.0.1:{closed.port}/?key=hidden", retry=RetryPolicy(tries=1))
    webhook.send(make_event())
    webhook.close()
    assert "was not delivered: 127.0.0.1: " in caplog.text
    assert "hidden" not in caplog.text
