"""What provisioning burns in: the factory record (public) and what the sealed secrets record holds.

The factory record is read-only for the agent. Secrets are kept apart from trust: losing them loses no trust.
"""

from ..compat import const
from . import cbor, errors, limits
from .claims import TIME_MAX, array, body, name, text, uint
from .errors import MisuseError, PeerError
from .pins import parse_anchors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Anchor

_FORMAT = const(1)
_FACTORY_MAX = const(20000)
# The names of the protocol's own topics are no channels.
_RESERVED = ("root", "report", "ack")


class Factory:
    """A factory record: `fleet`, `channel`, `device`, `root` and `pins` documents (bytes), `build_time` (Unix seconds).

    `managed` are the inspection CAs of a device provisioned as managed, subject and SPKI each; empty on an ordinary one.
    """

    def __init__(
        self,
        fleet: str,
        channel: str,
        device: str,
        root: bytes,
        pins: bytes,
        build_time: int,
        managed: "list[Anchor] | None" = None,
    ) -> None:
        self.fleet = fleet
        self.channel = channel
        self.device = device
        self.root = root
        self.pins = pins
        self.build_time = build_time
        self.managed: "list[Anchor]" = managed or []


class Secrets:
    """A secrets record, opened: MQTT `user` and `password`, TLS `client_key` (DER), `wifi` (ssid, passphrase); None each."""

    def __init__(
        self,
        user: "str | None" = None,
        password: "str | None" = None,
        client_key: "bytes | None" = None,
        wifi: "tuple[str, str] | None" = None,
    ) -> None:
        self.user = user
        self.password = password
        self.client_key = client_key
        self.wifi = wifi


def encode(
    fleet: str,
    channel: str,
    device: str,
    root: bytes,
    pins: bytes,
    build_time: int,
    managed: "list[Anchor] | None" = None,
) -> bytes:
    """Return a factory record's body; raise `MisuseError` for names that no topic can carry."""
    try:
        for item in (fleet, channel, device):
            name(item)
    except PeerError:
        raise MisuseError
    if channel in _RESERVED:
        raise MisuseError
    fields: "dict[int, object]" = {
        1: _FORMAT,
        2: fleet,
        3: channel,
        4: device,
        5: root,
        6: pins,
        7: build_time,
    }
    if managed:
        fields[8] = [list(item) for item in managed]
    return cbor.dumps(fields)


def decode(data: bytes) -> Factory:
    """Return a factory record; raise `structure` or `encoding`."""
    fields = body(cbor.loads(data, _FACTORY_MAX), ())
    root = fields.get(5)
    pins = fields.get(6)
    channel = name(fields.get(3))
    if fields.get(1) != _FORMAT or not isinstance(root, bytes) or not isinstance(pins, bytes):
        raise PeerError(errors.STRUCTURE)
    if channel in _RESERVED:
        raise PeerError(errors.STRUCTURE)
    return Factory(
        name(fields.get(2)),
        channel,
        name(fields.get(4)),
        root,
        pins,
        uint(fields.get(7), 0, TIME_MAX),
        parse_anchors(fields.get(8, []), limits.MAX_MANAGED),
    )


def encode_secrets(secrets: Secrets) -> bytes:
    """Return a secrets record's plaintext (core/sealing.py seals it)."""
    fields: "dict[int, object]" = {}
    for key, value in ((2, secrets.user), (3, secrets.password), (4, secrets.client_key)):
        if value is not None:
            fields[key] = value
    if secrets.wifi is not None:
        fields[5] = list(secrets.wifi)
    return cbor.dumps(fields)


def decode_secrets(data: bytes) -> Secrets:
    """Return a secrets record from its plaintext; raise `structure` or `encoding`."""
    fields = body(cbor.loads(data), ())
    user = fields.get(2)
    password = fields.get(3)
    client_key = fields.get(4)
    wifi = fields.get(5)
    if user is not None:
        user = text(user, limits.HOST_MAX_BYTES)
    if password is not None:
        password = text(password, limits.HOST_MAX_BYTES)
    if client_key is not None and not isinstance(client_key, bytes):
        raise PeerError(errors.STRUCTURE)
    if wifi is not None:
        ssid, passphrase = array(wifi, 2, 2)
        wifi = (text(ssid, 32), text(passphrase, 63))
    return Secrets(user, password, client_key, wifi)
