"""What a device trusts, as facts: for `everpin agent status`, which prints them (status_command.py).

Read from a copy of the region, beside the running agent; nothing is written and nobody is asked.
"""

import time

from ...core import carrier, cbor, claims, cose, eat, errors, report
from ...core.errors import PeerError
from ...core.root import ROLE_PINS, ROLE_ROOT
from .status_risks import risks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.host import Host
    from ...core.root import Root
    from ...core.trust import Trust
    from ..device import Device

USAGES = ("pkix-ta", "pkix-ee", "dane-ta", "dane-ee")
FOLLOWS = {1: "trust-store", 2: "closed", 3: "keep"}
STATUSES = {1: "active", 2: "backup", 3: "retiring"}


def _signed(device: "Device", digest: bytes, channel: str) -> "dict[str, Any]":
    """Return when a document in force was signed, and by which keys of the root held; {} when its bytes are not on flash."""
    trust = device.agent.trust
    data = device.store.document(digest)
    if data is None:
        return {}
    try:
        message = cose.signed(data)
        said = cose.claims(message.payload)
        aad = cose.external_aad(trust.fleet, channel)
        signers, _ = cose.good_kids(message, trust.root.keys, aad)
    except PeerError:
        return {}
    iat = said.get(claims.IAT)
    return {
        "signed_at": iat if isinstance(iat, int) else None,
        "signers": sorted(kid.hex() for kid in signers),
        # Keys of an earlier root, or nobody's.
        "other_signatures": sorted(
            kid.hex() for _, _, kid, _ in message.signatures if kid not in signers
        ),
    }


def _rule(root: "Root", role: int) -> "list[dict[str, Any]]":
    return [
        {"threshold": threshold, "keys": sorted(kid.hex() for kid in kids)}
        for threshold, kids in root.rules[role]
    ]


def _host(trust: "Trust", host: "Host") -> "dict[str, Any]":
    confirmed = trust.confirmed(host.name)
    base = trust.base.get(host.name)
    held = {digest for digest, _ in host.pins}
    also = [] if base is None or confirmed else base[0].digests()
    return {
        "name": host.name,
        "usage": host.usage,
        "usage_name": USAGES[host.usage],
        "subdomains": host.subdomains,
        "report_only": host.report_only,
        "expires": host.expires,
        "after_expiry": None if host.expires is None else FOLLOWS[host.follow],
        "pins": [
            {
                "sha256": digest.hex(),
                "status": STATUSES.get(status, str(status)),
                "forbidden": trust.forbidden(digest),
            }
            for digest, status in host.pins
        ],
        "confirmed": confirmed,
        "since": list(base[1]) if base is not None and confirmed else None,
        # Of the entry that was confirmed before: accepted until the newest one is.
        "also_accepted": [
            digest.hex() for digest in also if digest not in held and not trust.forbidden(digest)
        ],
    }


def _journal(device: "Device") -> "dict[str, Any]":
    """Return the failed rounds since the last session, whether a verdict was refused since, and what no ack has confirmed yet."""
    try:
        data = device.store.load_journal()
        held = cbor.loads(data) if data else {}
    except PeerError:
        held = {}
    fields = held if isinstance(held, dict) else {}
    rounds = fields.get(2)  # keys as core/journal.py writes them
    events = [
        {
            "kind": report.KINDS.get(item[1], str(item[1])),
            "count": item.get(2),
            "host": item.get(3),
            "port": item.get(report.PORT),
            "error": errors.name_of(item[4]) if 4 in item else None,
            "since": item.get(7),
        }
        for item in device.agent.events.copy()
    ]
    return {
        "failed_rounds": rounds if isinstance(rounds, int) else 0,
        "refused": bool(fields.get(3)),
        "fail_open": {
            report.KINDS[kind]: count for kind, count in device.agent.events.opened.items()
        },
        "waiting": events,
    }


def gather(device: "Device", running: "dict[str, Any]") -> "dict[str, Any]":
    """Return all that status says; `running` is what the state file held."""
    trust = device.agent.trust
    facts: dict[str, Any] = {
        "device": device.agent.device,
        "fleet": trust.fleet,
        "channel": trust.channel,
        "folder": device.folder,
        "now": int(time.time()),
        "agent": running or None,
        "root": {
            "version": trust.root.version,
            "newest": trust.marks.root_version,
            "rule": _rule(trust.root, ROLE_ROOT),
            "contingency": trust.root.commitment is not None,
            **_signed(device, trust.root_digest, ""),
        },
        "document": {
            "number": list(trust.pins.number),
            "newest": list(trust.marks.number),
            "rule": _rule(trust.root, ROLE_PINS),
            **_signed(device, trust.pins_digest, trust.channel),
        },
        # The claims of its reports that do not change from one to the next, and what the running agent said of the rest.
        "eat": {
            "ueid": eat.ueid(trust.fleet, device.agent.device).hex(),
            "eat_profile": eat.REPORT_PROFILE,
            "bootseed": running.get("bootseed"),
            "swname": eat.NAME,
            "swversion": eat.VERSION,
            "uptime": int(time.monotonic()),
        },
        "fresh": running.get("fresh"),
        "unconfirmed": trust.unconfirmed(),
        "floor": trust.marks.floor,
        "forbidden": [digest.hex() for digest in trust.marks.forbidden],
        "hosts": [_host(trust, host) for host in trust.pins.hosts],
        "brokers": [
            {"host": host, "port": port, "earlier": (host, port) not in trust.pins.brokers}
            for host, port in trust.brokers()
        ],
        "carriers": [
            {"url": url, "known": carrier.known(url), "earlier": url not in trust.pins.carriers}
            for url in trust.carriers([])
        ],
        "journal": _journal(device),
    }
    facts["risks"] = risks(device, facts)
    return facts
