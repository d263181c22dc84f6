"""Every typed error of the device, with its stable code.

Three families by blame: `PeerError` (the peer's bytes), `MisuseError` (our caller), `FlashError` (the flash). Codes never
change and are never used again for something else: devices in the field report them by number. Code 0 means "no error".
An internal raise carries no text; the name is the text.
"""


class PeerError(Exception):
    """The peer's bytes are refused; nothing changed."""

    code = 1
    name = "peer"

    def __str__(self) -> str:
        return self.name


class MisuseError(Exception):
    """The caller broke this API's contract."""

    code = 60
    name = "misuse"


class FlashError(Exception):
    """The flash did not hold what was written, or holds nothing usable."""

    code = 80
    name = "flash"

    def __str__(self) -> str:
        return self.name


# ---- documents: 1 to 29 ----------------------------------------------------------------------------------------------


class EncodingError(PeerError):
    """Not the one encoding that is accepted (CBOR or DER)."""

    code = 2
    name = "encoding"


class TooLong(PeerError):
    """Longer than its cap; nothing of it was parsed."""

    code = 3
    name = "too-long"


class ShapeError(PeerError):
    """Well-formed CBOR that is no COSE message of ours: structure, headers, crit, unprotected."""

    code = 4
    name = "shape"


class WrongType(PeerError):
    """A document of another type (RFC 9596 typ)."""

    code = 5
    name = "wrong-type"


class Unsigned(PeerError):
    """No signature by a key that the rule knows."""

    code = 6
    name = "unsigned"


class BadSignature(PeerError):
    """A known key's signature does not verify: altered, or signed for another purpose."""

    code = 7
    name = "bad-signature"


class Threshold(PeerError):
    """Valid signatures, but not enough distinct keys for the rule."""

    code = 8
    name = "threshold"


class WrongFleet(PeerError):
    """Signed for another fleet."""

    code = 9
    name = "wrong-fleet"


class WrongChannel(PeerError):
    """Signed for another channel of this fleet."""

    code = 10
    name = "wrong-channel"


class Rollback(PeerError):
    """A number below the highest ever accepted."""

    code = 11
    name = "rollback"


class Equivocation(PeerError):
    """The highest number accepted, with other content."""

    code = 12
    name = "equivocation"


class RootMissing(PeerError):
    """Requires a root version that is not held."""

    code = 13
    name = "root-missing"


class StructureError(PeerError):
    """Properly signed, but its body breaks a rule of structure."""

    code = 14
    name = "structure"


class RuleOfTwo(PeerError):
    """A host with fewer than two different unforbidden pins."""

    code = 15
    name = "rule-of-two"


class NoBroker(PeerError):
    """No broker listed that the document's own hosts accept."""

    code = 16
    name = "no-broker"


class NoRescue(PeerError):
    """No rescue carrier listed."""

    code = 17
    name = "no-rescue"


class Unsupported(PeerError):
    """Says something that this agent is too old to obey, and must not ignore."""

    code = 18
    name = "unsupported"


class Expired(PeerError):
    """A new document past its exp, by a time source that signed policy names."""

    code = 19
    name = "expired"


class StaleAck(PeerError):
    """An ack whose nonce or tag is not for our last report."""

    code = 20
    name = "bad-ack"


# ---- TLS peers: 30 to 49 ---------------------------------------------------------------------------------------------


class NoCertificate(PeerError):
    """The peer served no certificate, or one that cannot be read."""

    code = 30
    name = "no-certificate"


class PinMismatch(PeerError):
    """The peer's key is not pinned for this host."""

    code = 31
    name = "pin-mismatch"


class Forbidden(PeerError):
    """The peer's key is forbidden."""

    code = 32
    name = "forbidden"


class Unlisted(PeerError):
    """The policy does not list this host."""

    code = 33
    name = "unlisted"


class NoVerdict(PeerError):
    """The handshake ended without a verdict."""

    code = 34
    name = "no-verdict"


class VerdictChanged(PeerError):
    """The policy changed under a live session, and no longer accepts its peer."""

    code = 35
    name = "verdict-changed"


# ---- transports: 50 to 59 --------------------------------------------------------------------------------------------


class MqttError(PeerError):
    """The broker broke MQTT 3.1.1, or a bound of ours."""

    code = 50
    name = "mqtt"


class HttpError(PeerError):
    """A mirror answered with something that is no bounded document."""

    code = 51
    name = "http"


# ---- flash: 80 to 99 -------------------------------------------------------------------------------------------------


class ReadBack(FlashError):
    """A record read back differs from what was written."""

    code = 81
    name = "read-back"


class NotProvisioned(FlashError):
    """No factory record."""

    code = 82
    name = "not-provisioned"


class FlashFull(FlashError):
    """Does not fit its slot."""

    code = 83
    name = "flash-full"


def table() -> "list[tuple[int, str, str]]":
    """Return (code, name, meaning) of every error, by code; meaning is "" where docstrings are stripped."""
    rows = []
    for value in globals().values():
        if isinstance(value, type) and issubclass(value, (PeerError, MisuseError, FlashError)):
            rows.append((value.code, value.name, getattr(value, "__doc__", None) or ""))
    return sorted(rows)


def name_of(code: int) -> str:
    """Return the name of an error code, "ok" for 0, "error-N" for one this release does not know."""
    if code == 0:
        return "ok"
    for number, name, _ in table():
        if number == code:
            return name
    return "error-%d" % code
