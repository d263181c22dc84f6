"""Rescue carriers as URLs: `mqtts://host:port`, `mqtt://host:port`, `http://host[:port]/folder`, `https://…` (RFC 3986)."""

from . import limits

_PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443}


def parse_url(url: str) -> "tuple[str, str, int, str] | None":
    """Return (scheme, host, port, path) of a carrier, None for one that this agent does not know.

    An IPv6 literal stands in brackets in the URL and without them in the result; `path` has no slash at its end.
    User names, queries and fragments are not known: a carrier is asked without identity.
    """
    if len(url) > limits.CARRIER_MAX_BYTES or "://" not in url:
        return None
    scheme, rest = url.split("://", 1)
    if scheme not in _PORTS:
        return None
    for character in rest:
        if not 0x21 <= ord(character) < 0x7F or character in '@?#\\"<>':
            return None
    authority, slash, path = rest.partition("/")
    if path and scheme in ("mqtt", "mqtts"):
        return None
    port = _PORTS[scheme]
    if authority.startswith("["):
        host, bracket, tail = authority[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            return None
        digits = tail[1:]
        colon = tail[:1]
    else:
        host, colon, digits = authority.partition(":")
    if colon:
        if not digits.isdigit() or len(digits) > 5 or not 0 < int(digits) < 65536:
            return None
        port = int(digits)
    if not host:
        return None
    return scheme, host, port, (slash + path).rstrip("/")


def known(url: str) -> bool:
    """Return whether this agent can ask a carrier."""
    return parse_url(url) is not None
