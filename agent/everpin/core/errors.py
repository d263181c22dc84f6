"""Every typed error of the device, with its stable code.

Three families by blame: `PeerError` (the peer's bytes), `MisuseError` (our caller), `FlashError` (the flash). What exactly is
wrong is the code: a class for each would cost a board 250 bytes of RAM (decision 0006). Codes never change and are never used
again for something else: devices in the field report them by number. Code 0 means "no error".

A constant's name is the error's name everywhere ("rollback", "wrong-fleet"), and the comment above it is its line in docs/errors.md.
"""

from ..compat import const

# ---- documents: 1 to 29 ----------------------------------------------------------------------------------------------

# The peer's bytes are refused; nothing changed.
PEER = const(1)
# Not the one encoding that is accepted (CBOR or DER).
ENCODING = const(2)
# Longer than its cap; nothing of it was parsed.
TOO_LONG = const(3)
# Well-formed CBOR that is no COSE message of ours: structure, headers, crit, unprotected.
SHAPE = const(4)
# A document of another type (RFC 9596 typ).
WRONG_TYPE = const(5)
# No signature by a key that the rule knows.
UNSIGNED = const(6)
# A known key's signature does not verify: altered, or signed for another purpose.
BAD_SIGNATURE = const(7)
# Valid signatures, but not enough distinct keys for the rule.
THRESHOLD = const(8)
# Signed for another fleet.
WRONG_FLEET = const(9)
# Signed for another channel of this fleet.
WRONG_CHANNEL = const(10)
# A number below the highest ever accepted.
ROLLBACK = const(11)
# The highest number accepted, with other content.
EQUIVOCATION = const(12)
# Requires a root version that is not held.
ROOT_MISSING = const(13)
# Properly signed, but its body breaks a rule of structure.
STRUCTURE = const(14)
# A host with fewer than two different unforbidden pins.
RULE_OF_TWO = const(15)
# No broker listed that the document's own hosts accept.
NO_BROKER = const(16)
# No rescue carrier listed.
NO_RESCUE = const(17)
# Says something that this agent is too old to obey, and must not ignore.
UNSUPPORTED = const(18)
# A new document past its exp, by a time source that signed policy names.
EXPIRED = const(19)
# An ack whose nonce or tag is not for our last report.
BAD_ACK = const(20)
# Requires a root from before the rule for pins was changed.
OLD_ROOT = const(21)
# An ordinary root that changes the contingency commitment.
COMMITMENT = const(22)

# ---- TLS peers: 30 to 49 ---------------------------------------------------------------------------------------------

# The peer served no certificate, or one that cannot be read.
NO_CERTIFICATE = const(30)
# The peer's key is not pinned for this host.
PIN_MISMATCH = const(31)
# The peer's key is forbidden.
FORBIDDEN = const(32)
# The policy does not list this host.
UNLISTED = const(33)
# The handshake ended without a verdict.
NO_VERDICT = const(34)
# The policy changed under a live session, and no longer accepts its peer.
VERDICT_CHANGED = const(35)
# No path of verified signatures leads from the peer's certificate to an anchor that this host may use.
NO_PATH = const(36)
# The peer's certificate is for other names.
WRONG_NAME = const(37)
# A certificate on every verified path is not yet valid, or no longer, by a time source that signed policy names.
DATES = const(38)
# The platform's own certificate check did not pass.
PKIX = const(39)
# The host's pins have expired, and the policy closes it.
CLOSED = const(40)
# Too few signed certificate timestamps by logs of the policy.
SCT = const(41)
# The peer's certificate is not one for TLS servers.
PURPOSE = const(42)

# ---- transports: 50 to 59 --------------------------------------------------------------------------------------------

# The broker broke MQTT 3.1.1, or a bound of ours.
MQTT = const(50)
# A mirror answered with something that is no bounded document.
HTTP = const(51)

# ---- our caller: 60 to 79 --------------------------------------------------------------------------------------------

# The caller broke this API's contract.
MISUSE = const(60)

# ---- flash: 80 to 99 -------------------------------------------------------------------------------------------------

# The flash did not hold what was written, or holds nothing usable.
FLASH = const(80)
# A record read back differs from what was written.
READ_BACK = const(81)
# No factory record.
NOT_PROVISIONED = const(82)
# Does not fit its slot.
FLASH_FULL = const(83)
# Secrets that do not open under this device's key.
SEALED = const(84)
# Written by a newer release; left as it is.
FOREIGN = const(85)


class _Coded(Exception):
    """An error with its stable `code`; its text is its name, never a word of the peer's."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def name(self) -> str:
        """Return the name, such as "wrong-fleet"."""
        return name_of(self.code)

    def __str__(self) -> str:
        return name_of(self.code)


class PeerError(_Coded):
    """The peer's bytes are refused; nothing changed."""


class FlashError(_Coded):
    """The flash did not hold what was written, or holds nothing usable."""


class MisuseError(Exception):
    """The caller broke this API's contract."""

    code = MISUSE
    name = "misuse"


def name_of(code: int) -> str:
    """Return the name of an error code, "ok" for 0, "error-N" for one this release does not know."""
    if code == 0:
        return "ok"
    for key, value in globals().items():
        if value == code and key == key.upper() and not key.startswith("_"):
            return key.lower().replace("_", "-")
    return "error-%d" % code
