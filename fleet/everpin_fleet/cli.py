"""The operator's verbs: init, key, pin, sign, publish, provision, reports, acl. `everpin` hands them over with their arguments.

Exit status: 0 done, 1 refused or failed, 2 wrong use. Errors are one line: what happened, where, what to do next.
"""

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import tomlkit
from rich.console import Console
from rich.table import Table

from everpin.core import topics
from everpin.core.carrier import parse_url
from everpin.core.pins import canonical
from everpin.ports.cpython import spki_sources

from . import acl, collect, documents, files, keys, policy, provision
from .connect import Broker
from .errors import OperatorError

_HELP = {
    "init": "start a fleet: a policy file and folders for keys and documents",
    "key": "make and list signing keys",
    "pin": "add, list and remove pins in the policy",
    "sign": "check the policy and sign it as the next document",
    "publish": "publish the newest document to the broker and to a mirror folder",
    "provision": "write a device's flash image and configuration",
    "reports": "collect what devices report, and acknowledge it",
    "acl": "print the broker's access rules",
}

_EXAMPLES = {
    "init": "everpin init acme --fleet acme --channel meters --broker broker.example:8883 --rescue http://pins.example/acme",
    "key": "everpin key new ops\neverpin key list",
    "pin": "everpin pin add broker.example --from broker.crt\neverpin pin add broker.example --from next.csr --status backup\neverpin pin list",
    "sign": "everpin sign\neverpin sign --urgent --yes",
    "publish": "everpin publish --broker broker.example:8883 --user operator --password-file op.pw --mirror /srv/pins",
    "provision": "everpin provision meter-17 --out devices/meter-17",
    "reports": "everpin reports --broker broker.example:8883 --for 60",
    "acl": "everpin acl mosquitto > /etc/mosquitto/everpin.acl",
}

_POLICY = """\
# The fleet's policy: what devices trust. `everpin sign` makes the next document of it.
fleet = {fleet}
channel = {channel}

# Where devices fetch documents when no pinned broker is reachable: unverified, without identity.
rescue = {rescue}

# Keys that no device may talk to any more, base64 of SHA-256 of the SPKI.
forbidden = []

[signers]
root = [{signer}]
pins = [{signer}]

[[brokers]]
host = {host}
port = {port}

# Each host needs two different pins: the one it serves, and the next one. `everpin pin add` writes them here.
[[hosts]]
name = {host}
"""


def _folder(args: argparse.Namespace) -> Path:
    return Path(args.fleet_dir)


def _policy(args: argparse.Namespace, complete: bool = True) -> policy.Policy:
    path = _folder(args) / policy.FILE
    if not path.exists():
        raise OperatorError(
            "no policy here",
            str(path),
            "run in the fleet's folder or name it with --fleet; `everpin init` starts one",
        )
    return policy.load(path, complete)


def _secret_file(args: argparse.Namespace) -> Path | None:
    return Path(args.passphrase_file) if args.passphrase_file else None


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise OperatorError(f"{text!r} is no HOST:PORT")
    return host, int(port)


def _init(args: argparse.Namespace) -> int:
    folder = Path(args.folder)
    path = folder / policy.FILE
    if path.exists():
        raise OperatorError("a fleet is here already", str(path))
    host, port = _address(args.broker)
    rescue = args.rescue or [f"mqtts://{'[' + host + ']' if ':' in host else host}:{port}"]
    for url in rescue:
        if parse_url(url) is None:
            raise OperatorError(
                f"{url!r} is no carrier",
                "--rescue",
                "mqtts://host:port, mqtt://host:port or http(s)://host/folder",
            )
    text = _POLICY.format(
        fleet=json.dumps(args.fleet),
        channel=json.dumps(args.channel),
        rescue=json.dumps(rescue),
        signer=json.dumps(args.signer),
        host=json.dumps(canonical(host)),
        port=port,
    )
    draft = folder / f"{policy.FILE}.new"
    files.write(draft, text.encode())
    try:
        policy.load(draft, complete=False)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    files.write(folder / provision.MASTER, os.urandom(32), 0o600)
    for name in ("keys", "root", "pins", "devices"):
        (folder / name).mkdir(exist_ok=True)
    print(
        f"{path}\nnext: cd {folder}; everpin key new {args.signer}; everpin pin add {host} --from CERTIFICATE; everpin pin add {host} --from NEXT-KEY --status backup"
    )
    return 0


def _key(args: argparse.Namespace) -> int:
    folder = _folder(args)
    if args.action == "list":
        for path in sorted((folder / "keys").glob("*.pem")):
            print(path.stem)
        return 0
    if not (folder / policy.FILE).exists():
        raise OperatorError("no fleet here", str(folder), "`everpin init` starts one")
    if keys.path_of(folder, args.name).exists():
        raise OperatorError(
            "this key exists", str(keys.path_of(folder, args.name)), "a key is never overwritten"
        )
    secret = (
        None
        if args.no_passphrase
        else keys.passphrase(_secret_file(args), f"passphrase for {args.name}", True)
    )
    made = keys.create(folder, args.name, args.alg, secret)
    if args.json:
        print(json.dumps({"name": made.name, "alg": made.alg, "kid": made.kid.hex()}))
    else:
        print(f"{keys.path_of(folder, args.name)}  {args.alg}  kid {made.kid.hex()}")
    return 0


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
    path = _folder(args) / policy.FILE
    if args.action == "list":
        _policy(args, complete=False)
        raw = policy.edit(path).unwrap()
        for host in raw.get("hosts", []):
            for pin in host.get("pins", []):
                print(
                    f"{host.get('name')}  {pin.get('sha256')}  {pin.get('status', 'active')}  {pin.get('note', '')}".rstrip()
                )
        return 0
    _policy(args, complete=False)
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


def _sign(args: argparse.Namespace) -> int:
    folder = _folder(args)
    found = _policy(args)
    if args.what == "root" or not documents.root_path(folder).exists():
        documents.sign_root(folder, found, _secret_file(args))
        print(f"{documents.root_path(folder)}  root 1")
        if args.what == "root":
            return 0
    number, said, lines = documents.draft_pins(
        folder, found, args.expires_days, args.urgent, args.reinstate, args.no_overlap
    )
    if not args.json:
        print(f"document {number[0]}-{number[1]}")
        for line in lines or ["no change"]:
            print(f"  {line}")
    if not args.yes:
        if not sys.stdin.isatty():
            raise OperatorError("nobody to ask whether that is right", "", "read it and say --yes")
        if input("sign this? [y/N] ").strip().lower() not in ("y", "yes"):
            raise OperatorError("not signed")
    path, document, warning = documents.sign_pins(folder, found, number, said, _secret_file(args))
    if warning:
        print(f"everpin: {path}: {warning}", file=sys.stderr)
    if args.json:
        print(
            json.dumps(
                {
                    "file": str(path),
                    "number": list(number),
                    "bytes": len(document),
                    "sha256": documents.digest(document),
                    "changes": lines,
                }
            )
        )
    else:
        print(f"{path}  {len(document)} bytes\nnext: everpin publish")
    return 0


def _publish(args: argparse.Namespace) -> int:
    folder = _folder(args)
    found = _policy(args)
    if not args.broker and not args.mirror:
        raise OperatorError(
            "nowhere to publish", "", "name --broker HOST:PORT, --mirror DIR, or both"
        )
    try:
        buckets = (
            list(range(topics.BUCKETS))
            if args.bucket == "all"
            else sorted({int(item) for item in args.bucket.split(",")})
        )
    except ValueError:
        buckets = [-1]
    if not all(0 <= item < topics.BUCKETS for item in buckets):
        raise OperatorError(
            f"{args.bucket!r} is no list of buckets",
            "--bucket",
            "all, or numbers from 0 to 63 with commas",
        )
    messages = documents.outgoing(folder, found, buckets, args.bucket == "all" or args.rescue)
    number, _ = documents.newest(folder)
    if args.mirror:
        for topic, data in messages.items():
            files.write(Path(args.mirror) / topic, data)
    if args.broker:
        trusts = None if args.insecure_plain else documents.trusts_of(folder, found)
        with Broker(_address(args.broker), trusts, args.user, _file(args.password_file)) as broker:
            broker.publish(messages)
            if not args.no_read_back:
                broker.read_back(messages)
    if args.json:
        print(
            json.dumps(
                {
                    "number": list(number),
                    "topics": len(messages),
                    "broker": args.broker,
                    "mirror": args.mirror,
                }
            )
        )
    else:
        where = " and ".join(item for item in (args.broker, args.mirror) if item)
        print(f"document {number[0]}-{number[1]}: {len(messages)} topics on {where}")
    return 0


def _file(name: str | None) -> Path | None:
    return Path(name) if name else None


def _provision(args: argparse.Namespace) -> int:
    folder = _folder(args)
    if (args.client_cert is None) != (args.client_key is None):
        raise OperatorError(
            "a client certificate and its key go together",
            "",
            "give --client-cert and --client-key",
        )
    out = Path(args.out) if args.out else folder / "devices" / args.device
    number = provision.provision(
        folder,
        _policy(args),
        args.device,
        out,
        args.force,
        args.mqtt_user,
        _file(args.mqtt_password_file),
        _file(args.client_cert),
        _file(args.client_key),
    )
    if args.json:
        print(json.dumps({"device": args.device, "folder": str(out), "number": list(number)}))
    else:
        print(
            f"{out}: {args.device} with document {number[0]}-{number[1]}\nnext: everpin agent run {out}"
        )
    return 0


def _reports(args: argparse.Namespace) -> int:
    folder = _folder(args)
    found = _policy(args)
    shown: list[dict[str, Any]] = []

    def store(item: dict[str, Any]) -> None:
        collect.keep(folder, item)
        shown.append(item)
        if args.json:
            print(json.dumps(item, sort_keys=True), flush=True)

    collector = collect.Collector(folder, found, store, not args.no_ack)
    trusts = None if args.insecure_plain else documents.trusts_of(folder, found)
    with Broker(
        _address(args.broker), trusts, args.user, _file(args.password_file), collector.take
    ) as broker:
        broker.subscribe(topics.report(found.fleet, "+"))
        until = time.monotonic() + args.seconds if args.seconds else None
        try:
            while (until is None or time.monotonic() < until) and not (
                args.count and collector.good >= args.count
            ):
                time.sleep(0.05)
                collector.flush(broker)
        except KeyboardInterrupt:
            pass
        collector.flush(broker)
    if not args.json:
        table = Table("device", "document", "event", "where", "error", "count")
        for item in shown:
            for event in item["events"]:
                number = event.get("number", item["number"])
                table.add_row(
                    item["device"],
                    "-".join(map(str, number)),
                    event["kind"],
                    event.get("where", ""),
                    event.get("error", ""),
                    str(event["count"]),
                )
        Console().print(table)
    for error, count in sorted(collector.refused.items()):
        print(f"everpin: {count} report(s) refused: {error}", file=sys.stderr)
    return 0


def _acl(args: argparse.Namespace) -> int:
    print(acl.PRINTERS[args.broker](_policy(args, complete=False)), end="")
    if args.broker == "aws":
        print(
            "everpin: AWS IoT admits no anonymous client: rescue must be a mirror (http://…)",
            file=sys.stderr,
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="everpin", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], folder: bool = True
    ) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name,
            description=_HELP[name],
            help=_HELP[name],
            epilog="examples:\n  " + _EXAMPLES[name].replace("\n", "\n  "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if folder:
            made.add_argument(
                "--fleet",
                dest="fleet_dir",
                default=".",
                metavar="DIR",
                help="the fleet's folder (default: here)",
            )
        made.set_defaults(run=run)
        return made

    def passphrase(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--passphrase-file",
            metavar="FILE",
            help="mode 0600; else EVERPIN_PASSPHRASE, else a prompt",
        )

    def machine(made: argparse.ArgumentParser) -> None:
        made.add_argument("--json", action="store_true", help="facts as JSON")

    def broker(made: argparse.ArgumentParser, required: bool) -> None:
        made.add_argument(
            "--broker",
            metavar="HOST:PORT",
            required=required,
            help="checked by the policy's own pins",
        )
        made.add_argument("--user", help="MQTT user")
        made.add_argument("--password-file", metavar="FILE", help="mode 0600")
        made.add_argument(
            "--insecure-plain", action="store_true", help="no TLS: for a listener on loopback only"
        )

    made = verb("init", _init, folder=False)
    made.add_argument("folder", metavar="DIR")
    made.add_argument("--fleet", required=True, metavar="NAME")
    made.add_argument(
        "--channel",
        required=True,
        metavar="NAME",
        help="the audience: one hardware or customer group",
    )
    made.add_argument("--broker", required=True, metavar="HOST:PORT")
    made.add_argument(
        "--rescue",
        action="append",
        metavar="URL",
        help="mqtts://host:port or http(s)://host/folder; again for more",
    )
    made.add_argument(
        "--signer", default="ops", metavar="NAME", help="the key that will sign (default: ops)"
    )

    made = verb("key", _key)
    actions = made.add_subparsers(dest="action", required=True, metavar="new|list")
    new = actions.add_parser("new", help="make a signing key", allow_abbrev=False)
    new.add_argument("name")
    new.add_argument("--alg", choices=sorted(keys.ALGS), default="ed25519")
    new.add_argument(
        "--no-passphrase",
        action="store_true",
        help="keep it in clear: for tests, and for disks that are encrypted",
    )
    passphrase(new)
    machine(new)
    actions.add_parser("list", help="list signing keys", allow_abbrev=False)

    made = verb("pin", _pin)
    actions = made.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    add = actions.add_parser("add", help="add a pin to a host", allow_abbrev=False)
    add.add_argument("host")
    add.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="certificate, CSR, key file, or HOST:PORT",
    )
    add.add_argument("--status", choices=sorted(policy.STATUS), default="active")
    add.add_argument("--note", default="")
    passphrase(add)
    actions.add_parser("list", help="list every host's pins", allow_abbrev=False)
    remove = actions.add_parser("remove", help="remove a pin from a host", allow_abbrev=False)
    remove.add_argument("host")
    remove.add_argument("pin", metavar="SHA256-BASE64")

    made = verb("sign", _sign)
    made.add_argument(
        "what",
        nargs="?",
        choices=("pins", "root"),
        default="pins",
        help="default: pins (and root 1 first, when it is not signed yet)",
    )
    made.add_argument(
        "--expires-days",
        type=int,
        metavar="N",
        help="devices with a trusted clock refuse it as new after N days",
    )
    made.add_argument("--urgent", action="store_true", help="ends every overlap at once")
    made.add_argument(
        "--reinstate", action="store_true", help="allow that a forbidden key is trusted again"
    )
    made.add_argument(
        "--no-overlap", action="store_true", help="allow that a host keeps none of its pins"
    )
    made.add_argument("--yes", action="store_true", help="do not ask")
    passphrase(made)
    machine(made)

    made = verb("publish", _publish)
    broker(made, False)
    made.add_argument("--mirror", metavar="DIR", help="a folder that a web server serves")
    made.add_argument(
        "--no-read-back",
        action="store_true",
        help="do not ask the broker whether it retains what was published",
    )
    made.add_argument(
        "--bucket",
        default="all",
        metavar="LIST",
        help="all, or numbers from 0 to 63 with commas: a wave",
    )
    made.add_argument(
        "--rescue",
        action="store_true",
        help="release it to devices in rescue though not every bucket has it",
    )
    machine(made)

    made = verb("provision", _provision)
    made.add_argument("device", metavar="DEVICE")
    made.add_argument("--out", metavar="DIR", help="default: devices/DEVICE in the fleet's folder")
    made.add_argument("--force", action="store_true", help="make it anew; its state is forgotten")
    made.add_argument("--mqtt-user")
    made.add_argument("--mqtt-password-file", metavar="FILE", help="mode 0600")
    made.add_argument("--client-cert", metavar="FILE", help="for mutual TLS")
    made.add_argument("--client-key", metavar="FILE", help="mode 0600")
    machine(made)

    made = verb("reports", _reports)
    broker(made, True)
    made.add_argument(
        "--for", dest="seconds", type=float, metavar="SECONDS", help="default: until Ctrl-C"
    )
    made.add_argument("--count", type=int, metavar="N", help="end after N reports")
    made.add_argument("--no-ack", action="store_true", help="listen only")
    machine(made)

    made = verb("acl", _acl)
    made.add_argument("broker", choices=sorted(acl.PRINTERS))
    return parser


def main(argv: list[str]) -> int:
    """Run one verb; return the exit status. Mistakes of people are one line and never a traceback."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        return int(args.run(args))
    except OperatorError as error:
        print(f"everpin: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"everpin: {where}{error.strerror or error}", file=sys.stderr)
        return 1
