"""`everpin pin`: the pins of the policy, edited without losing comments."""

import argparse
import base64
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

from everpin.core.host import canonical
from everpin.ports.cpython import spki_sources

from .. import files, keys, policy, policy_hosts
from ..errors import OperatorError
from .common import folder_of, passphrase, policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "pin",
        "add, list and remove pins in the policy",
        "everpin pin add broker.example --from broker.crt\neverpin pin add broker.example --from next.csr --status backup\neverpin pin list",
        _pin,
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    new = actions.add_parser("add", help="add a pin to a host", allow_abbrev=False)
    new.add_argument("host")
    new.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="certificate, CSR, key file, or HOST:PORT",
    )
    new.add_argument("--status", choices=sorted(policy_hosts.STATUS), default="active")
    new.add_argument("--note", default="")
    passphrase(new)
    actions.add_parser("list", help="list every host's pins", allow_abbrev=False)
    remove = actions.add_parser("remove", help="remove a pin from a host", allow_abbrev=False)
    remove.add_argument("host")
    remove.add_argument("pin", metavar="SHA256-BASE64")


def _hosts(document: tomlkit.TOMLDocument, path: Path, name: str, create: bool) -> Any:
    hosts: Any = document.get("hosts")
    for host in hosts or []:
        if host.get("name") == name:
            return host
    if not create:
        raise OperatorError(f"host {name} is not in the policy", str(path))
    if hosts is None:
        hosts = tomlkit.aot()
        document.append("hosts", hosts)
    host = tomlkit.table()
    host.append("name", name)
    hosts.append(host)
    return host


def _pin(args: argparse.Namespace) -> int:
    path = folder_of(args) / policy.FILE
    if args.action == "list":
        policy_of(args, complete=False)
        raw = policy.edit(path).unwrap()
        for host in raw.get("hosts", []):
            for pin in host.get("pins", []):
                print(
                    f"{host.get('name')}  {pin.get('sha256')}  {pin.get('status', 'active')}  {pin.get('note', '')}".rstrip()
                )
        return 0
    policy_of(args, complete=False)
    document = policy.edit(path)
    name = canonical(args.host)
    host = _hosts(document, path, name, args.action == "add")
    if args.action == "remove":
        before = list(host.get("pins", []))
        keep = [pin for pin in before if pin.get("sha256") != args.pin]
        if len(keep) == len(before):
            raise OperatorError(
                f"{name} has no pin {args.pin}", str(path), "`everpin pin list` shows them"
            )
        for at in range(len(before) - 1, -1, -1):
            if before[at].get("sha256") == args.pin:
                del host["pins"][at]
        policy.save(path, document)
        print(f"- {name} {args.pin}")
        return 0
    secret = (
        files.read_secret(Path(args.passphrase_file)).rstrip(b"\r\n")
        if args.passphrase_file
        else (lambda: keys.passphrase(None, f"passphrase of {args.source}"))
    )
    try:
        label, spki = spki_sources.load(args.source, secret)[0]
    except spki_sources.SourceError as error:
        raise OperatorError(error.what, error.where, error.next_step) from None
    digest = base64.b64encode(sha256(spki).digest()).decode()
    pins = host.get("pins")
    for pin in pins or []:
        if pin.get("sha256") == digest:
            raise OperatorError(f"{name} has this pin already: {digest}", str(path))
    if pins is None:
        pins = tomlkit.aot()
        host.append("pins", pins)
    item = tomlkit.table()
    item.append("sha256", digest)
    item.append("status", args.status)
    item.append("note", args.note or label)
    pins.append(item)
    policy.save(path, document)
    print(f"+ {name} {digest} {args.status} ({label})")
    return 0
