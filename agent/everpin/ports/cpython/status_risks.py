"""What would lock a device out next, by what the device itself can know: the nearest first.

A locked-out device is one that no signed document can reach any more, or that the operator cannot sign for any more. What only
the servers know (which key they serve) is `everpin check`'s to find out.
"""

import os
import time

from ...core.carrier import parse_url
from ...core.host import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..device import Device

_DAY_S = 86400
# A certificate that ends within so many days is worth a line.
_SOON_DAYS = 60


def risks(device: "Device", facts: "dict[str, Any]") -> "list[dict[str, str]]":
    """Return {"code", "text"} of each risk in the facts that `status.gather` has found."""
    found: list[dict[str, str]] = []
    for part in (_state, _identity, _hosts, _endpoints, _signers):
        for code, text in part(device, facts):
            found.append({"code": code, "text": text})
    return found


def _state(device: "Device", facts: "dict[str, Any]") -> "Iterator[tuple[str, str]]":
    if device.store.foreign:
        yield (
            "foreign",
            "a newer release wrote this region: this one leaves it as it is, and forgets what it accepts when it ends",
        )
    if facts["root"]["version"] < facts["root"]["newest"]:
        yield (
            "root-lost",
            (
                f"root {facts['root']['newest']} was accepted and is lost on flash: it must come again before any newer one"
            ),
        )
    if facts["document"]["number"] < facts["document"]["newest"]:
        number = "%d-%d" % tuple(facts["document"]["newest"])
        yield (
            "document-lost",
            (
                f"document {number} was accepted and is not in force (reset, or lost on flash): until it comes again"
                " older pins are trusted"
            ),
        )
    journal = facts["journal"]
    if journal["refused"]:
        yield (
            "refused",
            "its brokers are refused since the last session: it lives by rescue until they are pinned",
        )
    if journal["failed_rounds"]:
        yield (
            "unreachable",
            (
                f"no broker was reached in the last {journal['failed_rounds']} rounds: if this lasts, rescue is all it has"
            ),
        )
    running = facts["agent"]
    if running is not None and not running["running"]:
        yield "stopped", "the agent does not run: nothing brings newer documents"


def _identity(device: "Device", facts: "dict[str, Any]") -> "Iterator[tuple[str, str]]":
    if device.agent.secrets is None:
        yield (
            "no-identity",
            (
                "its secrets do not open (device key lost or another board's): brokers that want a login see a stranger"
            ),
        )
    if device.client_cert is None:
        return
    if device.client_key is None:
        yield (
            "no-client-key",
            f"{device.client_cert} has no key: brokers that want it refuse the device",
        )
        return
    until = _not_after(device.client_cert)
    if until is None:
        yield "client-certificate", f"{device.client_cert} cannot be read as a certificate"
        return
    days = (until - facts["now"]) // _DAY_S
    if days < 0:
        yield (
            "client-certificate",
            "its client certificate has expired: brokers that want it refuse the device",
        )
    elif days < _SOON_DAYS:
        day = time.strftime("%Y-%m-%d", time.gmtime(until))
        yield (
            "client-certificate",
            f"its client certificate expires on {day}: brokers that want it refuse the device from then on;"
            " rescue needs none",
        )


def _not_after(path: str) -> "int | None":
    from cryptography import x509

    try:
        if os.path.getsize(path) > 64 * 1024:
            return None
        with open(path, "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
    except (OSError, ValueError):
        return None
    return int(certificate.not_valid_after_utc.timestamp())


def _hosts(device: "Device", facts: "dict[str, Any]") -> "Iterator[tuple[str, str]]":
    trust = device.agent.trust
    brokers = [trust.pins.host(item["host"]) for item in facts["brokers"]]
    matters = {host.name for host in brokers if host is not None}
    # A lost entry of the update channel strands; of another host it costs that service.
    for host in sorted(facts["hosts"], key=lambda host: host["name"] not in matters):
        role = "its broker's" if host["name"] in matters else "that server's"
        usable = {pin["sha256"] for pin in host["pins"] if not pin["forbidden"]}
        if len(usable) < 2:
            yield (
                "one-pin",
                (
                    f"{host['name']}: {len(usable) or 'no'} usable pin left: losing {role} key leaves rescue only"
                ),
            )
        elif not any(pin["status"] == "backup" and not pin["forbidden"] for pin in host["pins"]):
            yield (
                "no-backup",
                (
                    f"{host['name']}: no pin is marked backup: were all of {role} keys lost at once, no pinned one is left"
                ),
            )
        if host["report_only"]:
            yield (
                "report-only",
                f"{host['name']}: pins are only reported, any certificate of PKIX is let in",
            )
        if host["expires"] is not None and host["after_expiry"] != "keep":
            day = time.strftime("%Y-%m-%d", time.gmtime(host["expires"]))
            then = (
                "it is closed until a newer document comes"
                if host["after_expiry"] == "closed"
                else "any certificate of PKIX is let in"
            )
            yield "expires", f"{host['name']}: its pins end on {day}, then {then}"
        if not host["confirmed"]:
            yield (
                "unconfirmed",
                (
                    f"{host['name']}: no handshake has matched the newest entry yet: if its pins are nobody's,"
                    " the device lives by the entry before"
                ),
            )


def _endpoints(device: "Device", facts: "dict[str, Any]") -> "Iterator[tuple[str, str]]":
    brokers = {canonical(item["host"]) for item in facts["brokers"]}
    urls = [parse_url(item["url"]) for item in facts["carriers"] if item["known"]]
    mirrors = {canonical(found[1]) for found in urls if found is not None}
    if len(brokers | mirrors) == 1:
        yield (
            "one-name",
            (
                f"broker and rescue are all at {next(iter(brokers | mirrors))}: without that name nothing reaches the device"
            ),
        )
    elif len(mirrors) == 1:
        yield "one-carrier", f"rescue has one place only: {next(iter(mirrors))}"


def _signers(device: "Device", facts: "dict[str, Any]") -> "Iterator[tuple[str, str]]":
    if facts["root"]["contingency"]:
        return
    tight = [group for group in facts["root"]["rule"] if group["threshold"] == len(group["keys"])]
    if tight:
        yield (
            "root-keys",
            (
                f"one lost root key of {len(tight[0]['keys'])} ends all root changes: there is no contingency key to replace it"
            ),
        )
