"""What provisioning burns in: the factory record (public) and the secrets record.

The factory record is read-only for the agent. Secrets are kept apart from trust: losing them loses no trust.
"""

from ..compat import const
from . import cbor, errors, limits
from .claims import TIME_MAX, body, name, text, uint
from .errors import MisuseError, PeerError

_FORMAT = const(1)
_FACTORY_MAX = const(20000)
# The names of the protocol's own topics are no channels.
_RESERVED = ("root", "report", "ack")


class Factory:
    """A factory record: `fleet`, `channel`, `device`, `root` and `pins` documents (bytes), `build_time` (Unix seconds)."""

    def __init__(
        self, fleet: str, channel: str, device: str, root: bytes, pins: bytes, build_time: int
    ) -> None:
        self.fleet = fleet
        self.channel = channel
        self.device = device
        self.root = root
        self.pins = pins
        self.build_time = build_time


class Secrets:
    """A secrets record: `report_key` (32 bytes), MQTT `user` and `password` (None when there are none)."""

    def __init__(
        self, report_key: bytes, user: "str | None" = None, password: "str | None" = None
    ) -> None:
        self.report_key = report_key
        self.user = user
        self.password = password


def encode(
    fleet: str, channel: str, device: str, root: bytes, pins: bytes, build_time: int
) -> bytes:
    """Return a factory record's body; raise `MisuseError` for names that no topic can carry."""
    try:
        for item in (fleet, channel, device):
            name(item)
    except PeerError:
        raise MisuseError
    if channel in _RESERVED:
        raise MisuseError
    return cbor.dumps(
        {1: _FORMAT, 2: fleet, 3: channel, 4: device, 5: root, 6: pins, 7: build_time}
    )


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
    )


def encode_secrets(
    report_key: bytes, user: "str | None" = None, password: "str | None" = None
) -> bytes:
    """Return a secrets record's body."""
    fields: "dict[int, object]" = {1: report_key}
    if user is not None:
        fields[2] = user
    if password is not None:
        fields[3] = password
    return cbor.dumps(fields)


def decode_secrets(data: bytes) -> Secrets:
    """Return a secrets record; raise `structure` or `encoding`."""
    fields = body(cbor.loads(data), ())
    key = fields.get(1)
    if not isinstance(key, bytes) or len(key) != 32:
        raise PeerError(errors.STRUCTURE)
    user = fields.get(2)
    password = fields.get(3)
    if user is not None:
        user = text(user, limits.HOST_MAX_BYTES)
    if password is not None:
        password = text(password, limits.HOST_MAX_BYTES)
    return Secrets(key, user, password)
