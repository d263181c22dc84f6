"""`everpin sign` and `everpin cosign`: the policy as the next document, signed here or by several people one after the other."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everpin.core import cose, root

from .. import archive, bodies, keys, signing
from ..bodies import Meant
from ..errors import OperatorError
from ..policy import Policy
from .common import file, folder_of, machine, passphrase, policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs

_SIGN = """\
everpin sign                             the policy as the next pins document (and root 1 first)
everpin sign --urgent --yes              every overlap ends at once
everpin sign root                        the next root: new signers, new thresholds
everpin sign root --contingency          the root keys are lost: with the committed ones
everpin sign --merge bob/pins.draft      take what another signer has added"""
_COSIGN = "everpin cosign pins.draft --key bob"


def add(verbs: "Verbs") -> None:
    """Add both verbs."""
    made = verb(verbs, "sign", "check the policy and sign it as the next document", _SIGN, _sign)
    made.add_argument(
        "what",
        nargs="?",
        choices=("pins", "root"),
        default="pins",
        help="default: pins (and root 1 first, when none is signed yet)",
    )
    made.add_argument(
        "--with",
        dest="only",
        action="append",
        metavar="KEY",
        help="sign with this key; again for more",
    )
    made.add_argument(
        "--merge",
        action="append",
        default=[],
        metavar="DRAFT",
        help="take the signatures of another copy of the draft; again for more",
    )
    made.add_argument("--discard", action="store_true", help="throw the draft away, start anew")
    made.add_argument(
        "--expires-days",
        type=int,
        metavar="N",
        help="pins: devices with a trusted clock refuse it as new after N days",
    )
    made.add_argument("--urgent", action="store_true", help="pins: ends every overlap at once")
    made.add_argument(
        "--reinstate",
        action="store_true",
        help="pins: allow that a forbidden key is trusted again",
    )
    made.add_argument(
        "--no-overlap", action="store_true", help="pins: allow that a host keeps none of its pins"
    )
    made.add_argument(
        "--contingency",
        action="store_true",
        help="root: the next multiple of 65,536, signed by the keys that the newest root has committed to",
    )
    made.add_argument(
        "--new-signers",
        action="store_true",
        help="root: allow that none of today's signers can sign the root after it",
    )
    made.add_argument(
        "--last-leaf",
        action="store_true",
        help="use an LMS key's last signature, which is kept for the root that names its successor",
    )
    made.add_argument("--yes", action="store_true", help="do not ask")
    passphrase(made)
    machine(made)

    made = verb(
        verbs, "cosign", "add a signature to a draft from another machine", _COSIGN, _cosign
    )
    made.add_argument("draft", metavar="DRAFT")
    made.add_argument("--key", required=True, metavar="NAME")
    made.add_argument("--yes", action="store_true", help="do not ask")
    passphrase(made)


def _confirmed(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError("nobody to ask whether that is right", "", "read it and say --yes")
    if input("sign this? [y/N] ").strip().lower() not in ("y", "yes"):
        raise OperatorError("not signed")


# ---- what is to be signed -------------------------------------------------------------------------------------------


def _names(folder: Path) -> dict[bytes, str]:
    return {keys.public(folder, name).kid: name for name in keys.names(folder)}


def _root(
    folder: Path, found: Policy, args: argparse.Namespace
) -> tuple[signing.Draft, list[str]]:
    """Return (draft of the next root, what it changes)."""
    have = archive.roots(folder)
    held = None
    version = 1
    if have:
        path = archive.root_path(folder, have[-1])
        held = archive.parsed_root(archive.newest_root(folder)[1], path)
        version = root.next_contingency(have[-1]) if args.contingency else have[-1] + 1
    if args.contingency and (held is None or held.commitment is None):
        raise OperatorError(
            "the newest root has committed to no contingency keys",
            str(folder / "root"),
            "the root keys themselves must sign: `everpin sign root`",
        )
    extra = []
    if args.contingency and held is not None and held.commitment is not None:
        known = [keys.public(folder, name) for name in keys.names(folder)]
        extra = [key for key in known if key.digest in held.commitment[1]]
        if len(extra) < held.commitment[0]:
            raise OperatorError(
                f"{held.commitment[0]} committed key(s) must sign and {len(extra)} are known here",
                str(folder / "keys"),
                "bring them with `everpin key import NAME FILE`",
            )
    body = bodies.root_body(folder, found, version, extra)
    new = bodies.as_device_root(body)
    meant = Meant(new_signers=args.new_signers)
    bodies.root_mistakes(held, new, args.contingency, meant)
    lines = bodies.root_changes(held, new, _names(folder))
    if held is not None and not lines and not args.contingency:
        raise OperatorError("this root would change nothing", str(found.path))
    return signing.root_draft(found, held, new, body, args.contingency), lines


def _pins(
    folder: Path, found: Policy, args: argparse.Namespace
) -> tuple[signing.Draft, list[str]]:
    """Return (draft of the next pins document, what it changes)."""
    version, document = archive.newest_root(folder)
    held = archive.parsed_root(document, archive.root_path(folder, version))
    have = archive.numbers(folder)
    number = (version, have[-1][1] + 1 if have else 1)
    old = None
    iat = int(time.time())
    if have:
        _, data = archive.newest(folder)
        old = archive.parsed_pins(data, archive.pins_path(folder, have[-1]))
        iat = max(iat, archive.issued(data))
    # Carried on for ever: a device that slept through the urgent document takes it from any later one.
    urgent = (0, 0) if old is None else old.urgent
    if args.urgent or found.urgent:
        urgent = number
    body = bodies.pins_body(found, number, urgent)
    new = bodies.as_device_pins(body)
    bodies.pins_mistakes(old, new, Meant(args.reinstate, args.no_overlap))
    draft = signing.pins_draft(found, held, body, iat, args.expires_days)
    return draft, bodies.pins_changes(old, new)


# ---- signing it -----------------------------------------------------------------------------------------------------


def _load(
    folder: Path, name: str, draft: signing.Draft, args: argparse.Namespace
) -> signing.Signer:
    secret = file(args.passphrase_file)
    path = keys.path_of(folder, name, ".lms")
    if not path.exists():
        return keys.load(folder, name, secret)
    from .. import lms

    role = "root" if draft.typ == cose.ROOT else "pins"
    seen = archive.signatures(folder, keys.public(folder, name).kid)
    last = getattr(args, "last_leaf", False)
    found: signing.Signer = lms.bound(path, role, secret, seen, last=last)
    return found


def _sign_here(folder: Path, draft: signing.Draft, args: argparse.Namespace) -> list[str]:
    """Sign with the keys of this machine that still help; return their names."""
    used = []
    names = _names(folder)
    # An LMS signature is spent for ever: those keys sign last, and only where no other is enough.
    order = sorted(names, key=lambda kid: keys.path_of(folder, names[kid], ".lms").exists())
    for kid in order:
        name = names[kid]
        if kid not in draft.wanted() or not keys.is_here(folder, name):
            continue
        if args.only and name not in args.only:
            continue
        key = _load(folder, name, draft, args)
        draft.sign(key)
        used.append(name)
        if getattr(key, "warning", ""):
            print(f"everpin: {name}: {key.warning}", file=sys.stderr)  # type: ignore[attr-defined]
    return used


def _draft_path(folder: Path, what: str) -> Path:
    return folder / "drafts" / f"{what}.draft"


def _resumed(path: Path, fresh: signing.Draft, args: argparse.Namespace) -> signing.Draft:
    """Return the draft that is under way when it still says what the policy says, else the fresh one."""
    if not path.exists() or args.discard:
        path.unlink(missing_ok=True)
        return fresh
    found = signing.load(path)
    if found.body != fresh.body:
        raise OperatorError(
            "a draft is under way that says something else than the policy does now",
            str(path),
            "--discard starts anew; its signatures are lost",
        )
    return found


def _sign(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    found = policy_of(args)
    if args.what == "pins" and not archive.roots(folder):
        first = argparse.Namespace(**{**vars(args), "what": "root", "contingency": False})
        if not _one(folder, found, first):
            return 0
    _one(folder, found, args)
    return 0


def _one(folder: Path, found: Policy, args: argparse.Namespace) -> bool:
    """Sign one document as far as this machine can; return whether it is finished."""
    make = _root if args.what == "root" else _pins
    fresh, lines = make(folder, found, args)
    path = _draft_path(folder, args.what)
    draft = _resumed(path, fresh, args)
    for other in args.merge:
        draft.merge(signing.load(Path(other)), other)
    title = _title(draft)
    if not args.json:
        print(title)
        for line in lines or ["no change"]:
            print(f"  {line}")
    _confirmed(args.yes)
    used = _sign_here(folder, draft, args)
    if not draft.complete():
        if not used and not args.merge:
            raise OperatorError(
                "no key on this machine can sign it",
                str(folder / "keys"),
                "keys that can: " + ", ".join(sorted(_who(folder, draft))),
            )
        draft.save(path)
        _tell_draft(args, folder, draft, path)
        return False
    where, document, warning = signing.finish(folder, found, draft)
    path.unlink(missing_ok=True)
    if warning:
        print(f"everpin: {where}: {warning}", file=sys.stderr)
    _tell_done(args, draft, where, document, lines)
    return True


def _title(draft: signing.Draft) -> str:
    body = draft.body
    return f"root {body[1]}" if draft.typ == cose.ROOT else f"document {body[1]}-{body[2]}"


def _who(folder: Path, draft: signing.Draft) -> set[str]:
    names = _names(folder)
    return {names.get(kid, kid.hex()) for kid in draft.wanted()}


def _tell_draft(args: argparse.Namespace, folder: Path, draft: signing.Draft, path: Path) -> None:
    missing = sorted(_who(folder, draft))
    if args.json:
        said = {"draft": str(path), "signatures": len(draft.signatures), "wanted": missing}
        print(json.dumps(said))
        return
    print(
        f"{path}  {len(draft.signatures)} signature(s), more needed of: {', '.join(missing)}\n"
        f"next: on their machines `everpin cosign {path.name} --key NAME`, then here `everpin sign {args.what} --merge FILE`"
    )


def _tell_done(
    args: argparse.Namespace, draft: signing.Draft, where: Path, document: bytes, lines: list[str]
) -> None:
    is_root = draft.typ == cose.ROOT
    if args.json:
        body = draft.body
        said: dict[str, Any] = {
            "file": str(where),
            "number": body[1] if is_root else [body[1], body[2]],
            "bytes": len(document),
            "sha256": archive.digest(document),
            "changes": lines,
        }
        print(json.dumps(said))
        return
    following = "everpin publish"
    if is_root and draft.body[1] > 1:
        following = "everpin sign, for a pins document that requires it; then everpin publish"
    print(f"{where}  {len(document)} bytes\nnext: {following}")


def _cosign(args: argparse.Namespace) -> int:
    path = Path(args.draft)
    draft = signing.load(path)
    print(
        _title(draft), f"of fleet {draft.fleet}", f"channel {draft.channel}" * bool(draft.channel)
    )
    body = draft.body
    if draft.typ == cose.ROOT:
        lines = bodies.root_changes(None, bodies.as_device_root(body), _names(folder_of(args)))
    else:
        lines = [
            f"{host.name} {bodies.base64_of(pin)}"
            for host in bodies.as_device_pins(body).hosts
            for pin in host.digests()
        ]
        lines += [f"forbidden {bodies.base64_of(pin)}" for pin in body.get(-2, [])]
    for line in lines:
        print(f"  {line}")
    _confirmed(args.yes)
    draft.sign(_load(folder_of(args), args.key, draft, args))
    draft.save(path)
    state = "complete" if draft.complete() else "more signatures needed"
    print(
        f"{path}  {len(draft.signatures)} signature(s), {state}\nnext: bring it back; everpin sign --merge {path.name}"
    )
    return 0
