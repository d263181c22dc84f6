"""Programs beside the agent, and programs with threads: the policy that `everpin.Reader` and the context give them."""

import base64
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import everpin
from client_programs import Use, http_answer, with_urllib3
from everpin.core import spki
from everpin.core.verdict import Verdict
from everpin.ports.cpython.paho import AttachedPaho
from everpin.ports.cpython.tls import PinRefused
from everpin.ports.device import ConfigError
from everpin_sim import pki
from one_device import OneDevice
from test_tls_cpython import Policy
from tls_servers import Identities, Server, identities


@pytest.fixture(scope="module")
def made() -> Identities:
    return identities()


def _pin(identity: pki.Identity) -> str:
    der = identity.certificate.public_bytes(pki.serialization.Encoding.DER)
    return base64.b64encode(spki.pin(der)).decode()


def _chain(identity: pki.Identity) -> list[bytes]:
    return [identity.certificate.public_bytes(pki.serialization.Encoding.DER)]


def test_a_reader_follows_what_the_agent_commits(made: Identities, tmp_path: Path) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    reader = everpin.Reader(str(device.path))
    assert reader.verdict("localhost", _chain(made.server)).accepted
    assert not reader.verdict("localhost", _chain(made.other)).accepted
    first = reader.generation
    device.pin(made.other)
    device.take(device.sign())
    assert reader.verdict("localhost", _chain(made.other)).accepted
    assert reader.generation > first
    second = reader.generation
    found = reader.verdict("localhost", _chain(made.server))
    assert found.accepted and found.generation == second == reader.generation


def test_a_reader_writes_nothing_and_lets_the_agent_write(
    made: Identities, tmp_path: Path
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    image = device.path / "flash.img"
    before = image.read_bytes()
    server = Server(
        made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3, answer=http_answer
    )
    try:
        held = everpin.Device(str(device.path))
        image.chmod(0o400)
        with_urllib3(Use(everpin.Reader(str(device.path)), server.port))
        held.close()
        assert image.read_bytes() == before
    finally:
        server.close()


def test_a_key_that_is_forbidden_ends_a_readers_live_connection(
    made: Identities, tmp_path: Path
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    device.pin(made.other)
    device.take(device.sign())
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    context = everpin.ssl_context(everpin.Reader(str(device.path)))
    raw = socket.create_connection(("127.0.0.1", server.port), 5)
    try:
        with context.wrap_socket(raw, server_hostname="localhost") as sock:
            sock.sendall(b"one")
            assert sock.recv(10) == b"ONE"
            device.unpin(_pin(made.server))
            device.forbid(_pin(made.server))
            device.take(device.sign())
            with pytest.raises(PinRefused) as refused:
                sock.sendall(b"two")
            assert refused.value.verdict.name == "forbidden"
        server.drain()
        assert server.application == [b"one"]
    finally:
        server.close()


def test_a_second_write_within_one_step_of_the_file_systems_clock_is_seen(
    made: Identities, tmp_path: Path
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    image = device.path / "flash.img"
    reader = everpin.Reader(str(device.path))
    assert reader.generation == 1
    times = image.stat()
    device.pin(made.other)
    device.take(device.sign())
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert reader.verdict("localhost", _chain(made.other)).accepted


def test_writes_that_change_no_trust_have_no_connection_judged_anew(
    made: Identities, tmp_path: Path
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    reader = everpin.Reader(str(device.path))
    before = reader.generation
    os.utime(device.path / "flash.img")
    assert reader.generation == before


def test_a_reader_goes_on_with_what_it_read_while_the_region_cannot_be_read(
    made: Identities, tmp_path: Path
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    reader = everpin.Reader(str(device.path))
    image = device.path / "flash.img"
    whole = image.read_bytes()
    for spoil in (lambda: image.write_bytes(b"\xff" * len(whole)), image.unlink):
        spoil()
        assert reader.verdict("localhost", _chain(made.server)).accepted
        assert not reader.verdict("localhost", _chain(made.other)).accepted
    with pytest.raises(ConfigError, match="provision the device first"):
        everpin.Reader(str(device.path))
    image.write_bytes(whole)
    device.pin(made.other)
    device.take(device.sign())
    assert reader.verdict("localhost", _chain(made.other)).accepted


def test_a_region_that_has_not_changed_for_a_while_is_not_read_again(
    made: Identities, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    image = device.path / "flash.img"
    an_hour_ago = time.time() - 3600
    for file in (image, device.path / "device.json"):
        os.utime(file, (an_hour_ago, an_hour_ago))
    reader = everpin.Reader(str(device.path))
    monkeypatch.setattr("everpin.ports.cpython.shared.open_flash", None)
    assert reader.verdict("localhost", _chain(made.server)).accepted
    assert reader.generation == 1


# ---- threads ------------------------------------------------------------------------------------------------------------


class Alone(Policy):
    """Notes whether two threads were ever inside at a time; each call stays until another one comes, or a moment has passed."""

    def __init__(self, *identities: pki.Identity) -> None:
        super().__init__(*identities)
        self.overlapped = False
        self._inside = threading.Semaphore(1)
        self._second = threading.Event()

    def _alone(self, call: Callable[..., Any], *args: Any) -> Any:
        if not self._inside.acquire(blocking=False):
            self.overlapped = True
            self._second.set()
            return call(*args)
        try:
            self._second.wait(0.2)
            return call(*args)
        finally:
            self._inside.release()

    def verdict(
        self, host: str, chain: list[bytes], platform: Any = None, store: Any = None
    ) -> Verdict:
        found: Verdict = self._alone(super().verdict, host, chain)
        return found

    def completed(self, verdict: Verdict) -> None:
        self._alone(super().completed, verdict)


def test_handshakes_in_threads_ask_a_policy_one_after_the_other(
    made: Identities, tmp_path: Path
) -> None:
    policy = Alone(made.server)
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)

    def connect() -> None:
        # A context each: the lock is the policy's.
        raw = socket.create_connection(("127.0.0.1", server.port), 5)
        everpin.ssl_context(policy).wrap_socket(raw, server_hostname="localhost").close()

    threads = [threading.Thread(target=connect) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    finally:
        server.close()
    assert len(policy.done) == 3 and not policy.overlapped


def test_a_program_s_own_thread_takes_the_context_s_lock(made: Identities) -> None:
    policy = Policy(made.server)
    context: Any = everpin.ssl_context(policy)
    with context.policy.lock:
        asked: list[Verdict] = []
        thread = threading.Thread(
            target=lambda: asked.append(context.policy.verdict("localhost", []))
        )
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() and not asked
    thread.join(5)
    assert asked and context.policy.pins is policy.pins


def test_policies_with_a_lock_of_their_own_have_no_second_one(
    made: Identities, tmp_path: Path
) -> None:
    device = OneDevice(tmp_path / "fleet", made.server)
    reader = everpin.Reader(str(device.path))
    assert everpin.ssl_context(reader).policy is reader
    # `step` publishes with the lock held: a second lock, taken by paho's thread the other way round, would be a deadlock.
    assert AttachedPaho.threads
