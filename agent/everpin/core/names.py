"""Names of certificates: whether a leaf is for a host (RFC 9525, SAN only, never the common name), and name constraints."""

from . import x509

_IP_SUBTREE_BYTES = (8, 32)  # address and mask


def matches(leaf: "x509.Certificate", where: str) -> bool:
    """Return whether a certificate is for a host: a dNSName, `*` as its whole leftmost label at most, or an iPAddress."""
    address = ip_bytes(where)
    for tag, value in leaf.names:
        if address is not None:
            if tag == x509.IP and value == address:
                return True
        elif tag == x509.DNS and _dns_matches(value, where):
            return True
    return False


def _dns_matches(pattern: bytes, where: str) -> bool:
    name = _lower(pattern)
    if name is None:
        return False
    if name.startswith("*."):
        # RFC 9525 section 6.3: the wildcard stands for one label, and not for the whole name above a public suffix.
        label, dot, rest = where.partition(".")
        return bool(label) and bool(dot) and "." in rest and rest == name[2:]
    return name == where


def _lower(value: bytes) -> "str | None":
    """Return an IA5String of printable characters in lower case, None for anything else (a zero byte, say)."""
    out = ""
    for byte in value:
        if not 0x21 <= byte < 0x7F:
            return None
        out += chr(byte)
    return out.lower()


def ip_bytes(where: str) -> "bytes | None":
    """Return the 4 or 16 bytes of an IP address as text, None for a name."""
    if ":" in where:
        return _ip6(where)
    parts = where.split(".")
    if len(parts) != 4:
        return None
    out = bytearray()
    for part in parts:
        if not _digits(part, 10, 3) or int(part) > 255:
            return None
        out.append(int(part))
    return bytes(out)


def _digits(text: str, base: int, most: int) -> bool:
    if not 1 <= len(text) <= most:
        return False
    for character in text.lower():
        if character not in "0123456789abcdef"[:base]:
            return False
    return True


def _ip6(where: str) -> "bytes | None":
    # RFC 4291 section 2.2: eight groups, one run of zeros left out, the last 32 bits as IPv4.
    if "." in where:
        head, _, tail = where.rpartition(":")
        last = ip_bytes(tail)
        if last is None or len(last) != 4:
            return None
        where = "%s:%x:%x" % (head, last[0] << 8 | last[1], last[2] << 8 | last[3])
    halves = where.split("::")
    if len(halves) > 2:
        return None
    groups: "list[list[int]]" = []
    for half in halves:
        found: "list[int]" = []
        for part in half.split(":") if half else []:
            if not _digits(part, 16, 4):
                return None
            found.append(int(part, 16))
        groups.append(found)
    missing = 8 - sum([len(found) for found in groups])
    if (len(halves) == 1 and missing) or (len(halves) == 2 and missing < 1):
        return None
    whole = groups[0] + [0] * missing + (groups[1] if len(groups) == 2 else [])
    return b"".join([group.to_bytes(2, "big") for group in whole])


# ---- name constraints (RFC 5280 section 4.2.1.10) --------------------------------------------------------------------


def permitted(issuer: "x509.Certificate", below: "list[x509.Certificate]") -> bool:
    """Return whether every name below an issuer keeps within its constraints.

    Constraints on kinds of names that are not judged here (directory names, mail addresses), and those that are no name or network, are
    kept by nobody: such a path is refused.
    """
    for subtrees in (issuer.permitted, issuer.excluded):
        for tag, base in subtrees or []:
            if not _readable(tag, base):
                return False
    for item in below:
        for tag, value in item.names:
            if tag not in (x509.DNS, x509.IP):
                continue
            of_kind = [base for kind, base in issuer.permitted or [] if kind == tag]
            if of_kind and not any([_inside(tag, value, base) for base in of_kind]):
                return False
            for kind, base in issuer.excluded or []:
                if kind == tag and (_inside(tag, value, base) or _reaches(value, base)):
                    return False
    return True


def _readable(tag: int, base: bytes) -> bool:
    """Return whether a subtree is a network, or a name without wildcards: the empty one stands for all, a leading dot for what is below."""
    if tag == x509.IP:
        return len(base) in _IP_SUBTREE_BYTES
    name = _lower(base)
    return tag == x509.DNS and name is not None and "*" not in name


def _reaches(value: bytes, base: bytes) -> bool:
    """Return whether a wildcard stands for names that an excluded subtree holds as well."""
    return value[:2] == b"*." and base.lower().endswith(value[1:].lower())


def _inside(tag: int, value: bytes, base: bytes) -> bool:
    if tag == x509.IP:
        size = len(value)
        if len(base) != 2 * size:
            return False
        return all(
            [value[at] & base[size + at] == base[at] & base[size + at] for at in range(size)]
        )
    name = _lower(value)
    suffix = _lower(base) if base else ""
    if name is None or suffix is None:
        return False
    if name.startswith("*."):
        name = name[2:]  # all that the wildcard stands for lies below
    if not suffix:
        return True
    if suffix.startswith("."):
        return name.endswith(suffix)
    return name == suffix or name.endswith("." + suffix)


__all__ = ("ip_bytes", "matches", "permitted")
