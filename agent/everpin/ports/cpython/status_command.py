"""`everpin agent status`: in one screen what is trusted, since when, signed by whom, and what would lock the device out next."""

import base64
import json
import os
import sys
import time

from . import state_file
from .config import ConfigFileError
from .shared import opened, reader
from .status import gather

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_MANY = 8  # of a list, before the rest is a number


def _when(seconds: "Any") -> str:
    if not isinstance(seconds, int):
        return "?"
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _number(pair: "list[int]") -> str:
    return f"{pair[0]}-{pair[1]}"


def _pin(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _rule(groups: "list[dict[str, Any]]") -> str:
    return " and ".join(f"{group['threshold']} of {' '.join(group['keys'])}" for group in groups)


def _signed(facts: "dict[str, Any]") -> str:
    if "signers" not in facts:
        return "(its bytes are not on flash)"
    others = facts["other_signatures"]
    return f"signed {_when(facts['signed_at'])} by " + " ".join(
        [*facts["signers"], *(f"({kid}, no key of this root)" for kid in others)]
    )


def _agent(running: "dict[str, Any] | None") -> str:
    if running is None:
        return "not known to run (no state file)"
    if not running["running"]:
        return f"not running; last contact {_when(running.get('last_contact'))}"
    if running.get("state") == "online":
        return f"connected to {running.get('host')} since {_when(running.get('since'))}"
    return f"running, {running.get('state')}; last contact {_when(running.get('last_contact'))}"


def _few(items: "list[str]", none: str) -> str:
    more = len(items) - _MANY
    return ", ".join(items[:_MANY]) + (f" and {more} more" if more > 0 else "") or none


def screen(facts: "dict[str, Any]") -> "list[str]":
    """Return the lines of the screen."""
    root, document = facts["root"], facts["document"]
    lines = [
        f"{facts['device']} of fleet {facts['fleet']}, channel {facts['channel']}  ({facts['folder']})",
        f"agent      {_agent(facts['agent'])}",
        f"root       {root['version']}, {_signed(root)}",
        f"           rule for roots: {_rule(root['rule'])}",
        f"document   {_number(document['number'])}, {_signed(document)}",
        f"           rule: {_rule(document['rule'])}",
    ]
    for host in facts["hosts"][:_MANY]:
        how = (
            f"confirmed under {_number(host['since'])}"
            if host["confirmed"]
            else "not confirmed yet"
        )
        also = " and its subdomains" if host["subdomains"] else ""
        lines.append(f"host       {host['name']}{also}, {host['usage_name']}, {how}")
        for pin in host["pins"]:
            status = "FORBIDDEN" if pin["forbidden"] else pin["status"]
            lines.append(f"           {status:<9} {_pin(pin['sha256'])}")
        lines += [f"           {'before':<9} {_pin(digest)}" for digest in host["also_accepted"]]
    if len(facts["hosts"]) > _MANY:
        lines.append(f"           and {len(facts['hosts']) - _MANY} more hosts (--json has all)")
    brokers = [
        f"{item['host']}:{item['port']}{' (earlier)' if item['earlier'] else ''}"
        for item in facts["brokers"]
    ]
    carriers = [
        item["url"]
        + (" (earlier)" if item["earlier"] else "")
        + ("" if item["known"] else " (not known to this release)")
        for item in facts["carriers"]
    ]
    lines += [
        f"brokers    {_few(brokers, 'none')}",
        f"rescue     {_few(carriers, 'none')}",
        f"forbidden  {_few([_pin(digest) for digest in facts['forbidden']], 'no key')}",
    ]
    waiting = [
        " ".join(str(item[key]) for key in ("kind", "host", "error") if item[key] is not None)
        + f" x{item['count']}"
        for item in facts["journal"]["waiting"]
    ]
    if waiting:
        lines.append(f"to report  {_few(waiting, '')}")
    opened = facts["journal"]["fail_open"]
    if opened:
        counts = [f"{kind} x{count}" for kind, count in sorted(opened.items())]
        lines.append(
            f"fail-open  {', '.join(counts)}: accepted without a match, since provisioning"
        )
    lines.append("what would lock it out next:")
    lines += [f"  - {risk['text']}" for risk in facts["risks"]]
    if not facts["risks"]:
        lines.append("  nothing that the device can see")
    return lines


def main(args: "argparse.Namespace") -> int:
    """Print a device's status; `args` as ports/cpython/verbs.py has them."""
    try:
        config, device = opened(args, reader)
    except ConfigFileError as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return problem.status
    running = state_file.read(config.state_file) if config.state_file else {}
    if config.state_file and not os.path.exists(config.state_file):
        running = {"running": False}
    facts = gather(device, running)
    if args.json:
        print(json.dumps(facts, sort_keys=True))
    else:
        print("\n".join(screen(facts)))
    return 0
