"""Topics (DESIGN section 7): exact, no wildcards for devices; a mirror is a folder of the same names."""

from hashlib import sha256

from ..compat import const
from . import cose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .trust import Trust

BUCKETS = const(64)
_PREFIX = "everpin/1/"


def bucket(fleet: str, device: str) -> int:
    """Return a device's bucket, 0 to 63, from SHA-256 of fleet and device id."""
    # A zero byte between the two: names carry none (claims.name), so no two pairs run together.
    return sha256(fleet.encode() + b"\x00" + device.encode()).digest()[0] % BUCKETS


def root(fleet: str, version: "int | str") -> str:
    """Return the topic of one root version ("" for what all of them begin with)."""
    return _PREFIX + fleet + "/root/" + str(version)


def pins(fleet: str, channel: str, in_bucket: "int | None" = None) -> str:
    """Return the topic of a bucket's newest document, or of the fully released one."""
    where = "" if in_bucket is None else "/" + str(in_bucket)
    return _PREFIX + fleet + "/" + channel + where + "/pins"


def report(fleet: str, device: str) -> str:
    """Return the topic of a device's reports."""
    return _PREFIX + fleet + "/report/" + device


def ack(fleet: str, device: str) -> str:
    """Return the topic on which a device hears that its report was had."""
    return _PREFIX + fleet + "/ack/" + device


def next_roots(fleet: str, version: int) -> "list[str]":
    """Return the topics of the next root and of the next contingency root (the next multiple of 65,536)."""
    return [root(fleet, version + 1), root(fleet, (version // 65536 + 1) * 65536)]


def kind(topic: str, fleet: str, channel: str, device: str) -> "int | None":
    """Return the document type (`cose.ROOT`, `cose.PINS`) that a topic is for, None for a topic that is not ours."""
    if topic.startswith(root(fleet, "")):
        return cose.ROOT
    if topic in (pins(fleet, channel), pins(fleet, channel, bucket(fleet, device))):
        return cose.PINS
    return None


def wanted(trust: "Trust", device: str, wide: bool, rescue: bool) -> "list[str]":
    """Return the exact topics to subscribe to, or to ask a mirror for; in rescue none that names the device."""
    if trust.behind():
        # The newest root was lost on flash: that very one comes back, or a contingency root ends it.
        newest = trust.marks.root_version
        found = [root(trust.fleet, newest), next_roots(trust.fleet, newest)[1]]
    else:
        found = next_roots(trust.fleet, trust.root.version)
    # A bucket holds one device in 64: no identity.
    found.append(pins(trust.fleet, trust.channel, bucket(trust.fleet, device)))
    if wide:
        found.append(pins(trust.fleet, trust.channel))
    if not rescue:
        found.append(ack(trust.fleet, device))
    return found
