"""The command `everpin`: the agent's own verbs, and which extra brings the others.

Exit status: 0 done, 1 failed or refused, 2 wrong use or an extra that is lacking, 130 interrupted.
"""

import argparse
import difflib
import importlib
import importlib.util
import os
import sys

from . import verbs as device_verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Each extra's third-party modules. The wheel always carries everpin_fleet and its sisters, so it is these whose absence tells;
# tests/test_packaging.py compares the table with pyproject.toml.
_FLEET = ("cbor2", "pyhsslms", "rich", "tomlkit")
_BOARD = ("esptool", "littlefs", "mpremote")
EXTRAS = {
    "fleet": _FLEET,
    "sim": (*_FLEET, "amqtt"),
    "board": (*_FLEET, *_BOARD),
    "hil": (*_FLEET, "amqtt", *_BOARD),
}

# verb: (what it does, extra, module with `main(argv) -> int` or "" while it is still to come)
_FLEET_CLI = "everpin_fleet.cli"
DELEGATED = {
    "init": (
        "start a fleet: its policy file, and folders for keys and documents",
        "fleet",
        _FLEET_CLI,
    ),
    "key": ("make signing keys (key new)", "fleet", _FLEET_CLI),
    "pin": (
        "add a pin to the policy from a certificate, CSR, key or live server (pin add)",
        "fleet",
        _FLEET_CLI,
    ),
    "sign": ("check the policy and sign it as a document", "fleet", _FLEET_CLI),
    "cosign": ("add a signature to another signer's draft", "fleet", _FLEET_CLI),
    "publish": ("publish signed documents to the broker and a mirror folder", "fleet", _FLEET_CLI),
    "provision": ("write a device's flash image and configuration", "fleet", _FLEET_CLI),
    "reports": ("collect what the devices report, and acknowledge it", "fleet", _FLEET_CLI),
    "acl": ("print the broker's access rules", "fleet", _FLEET_CLI),
    "flash": ("write firmware and a device's image to a board", "board", _FLEET_CLI),
    "demo": (
        "the story: a signed pin update carries devices through a root expiry",
        "sim",
        "everpin_sim.cli",
    ),
    "sim": (
        "emulated devices: a playground, swarms, hostile ground, power cuts (sim --help)",
        "sim",
        "everpin_sim.sim_cli",
    ),
    "hil": (
        "the bench: outages, attacks and mistakes played on devices (hil run)",
        "hil",
        "everpin_hil.cli",
    ),
}

OWN = {
    "agent": "run a provisioned device, as a service, and show what it trusts",
    "spki": "print the pin of a certificate, CSR, key or live server",
    "verify": "judge signed documents as a device does",
    "check": "print the verdict that a device would give on a server",
    "tunnel": "a pinned local tunnel, for programs that have no everpin",
}

_EXAMPLES = """\
examples:
  everpin spki cert.pem                       the pin of a certificate
  everpin spki --chain broker.example:8883    the pins of all that a server serves
  everpin agent run /var/lib/everpin          run the agent of a provisioned device
  everpin demo                                see it work

everpin VERB --help tells more about one verb.
"""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("everpin")
    except PackageNotFoundError:
        return "unknown (not installed)"


def _overview() -> str:
    """Return what `everpin --help` prints: every verb by group, each with one line."""

    def rows(verbs: "list[tuple[str, str]]") -> "list[str]":
        return [f"  {verb:<11}{what}" for verb, what in verbs]

    groups = [
        ("on the device", None),
        ("for the operator", "fleet"),
        ("for boards", "board"),
        ("to see and prove it", "sim"),
        ("on the bench", "hil"),
    ]
    lines = [
        "usage: everpin VERB ...",
        "       everpin --help | --version",
        "",
        "Keeps devices that pin TLS keys from ever being locked out.",
    ]
    for title, extra in groups:
        if extra is None:
            lines += ["", f"{title}:", *rows(list(OWN.items()))]
            continue
        verbs = [
            (verb, what if module else f"{what} (in a later release)")
            for verb, (what, needs, module) in DELEGATED.items()
            if needs == extra
        ]
        lines += [
            "",
            f"{title}, with the extra '{extra}' (pip install 'everpin[{extra}]'):",
            *rows(verbs),
        ]
    return "\n".join([*lines, "", _EXAMPLES])


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the agent's own verbs; each sets `run`, a function of the parsed arguments."""
    # No abbreviations: a script's --pass would change its meaning with the next option.
    parser = argparse.ArgumentParser(prog="everpin", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def own(name: str, text: str, examples: str = "") -> argparse.ArgumentParser:
        lines = "".join(f"\n  {line}" for line in examples.splitlines())
        return verbs.add_parser(
            name,
            description=text,
            help=text,
            allow_abbrev=False,
            epilog=f"examples:{lines}" if lines else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    device_verbs.agent(verbs, _lazily, OWN["agent"])
    device_verbs.tunnel(verbs, _lazily, OWN["tunnel"])

    spki = own(
        "spki",
        "Print the pin of each source: SHA-256 of its SubjectPublicKeyInfo (RFC 7469), in base64, one per line.",
    )
    spki.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a PEM or DER file (certificate, CSR, public or private key), - for standard input, or HOST:PORT",
    )
    spki.add_argument(
        "--chain", action="store_true", help="every certificate of a bundle or server, leaf first"
    )
    spki.add_argument(
        "--json", action="store_true", help="one JSON object with source, label and pin of each"
    )
    spki.add_argument(
        "--passphrase-file",
        metavar="F",
        help="the passphrase of encrypted keys; else it is asked for",
    )
    spki.add_argument(
        "--timeout",
        type=device_verbs.seconds,
        default=10.0,
        metavar="SECONDS",
        help="for a live server (default: 10)",
    )
    spki.set_defaults(run=_lazily("spki_command"))

    verify = own(
        "verify", "Judge signed documents by the device's own acceptance, in the order given."
    )
    verify.add_argument("documents", nargs="+", metavar="DOC", help="a signed document")
    verify.add_argument(
        "--trust",
        required=True,
        metavar="DIR",
        help="the folder of the device that judges, or a fleet's",
    )
    verify.add_argument(
        "--json", action="store_true", help="one JSON object per document, one per line"
    )
    verify.set_defaults(run=_lazily("verify"))

    check = own(
        "check",
        "Print the verdict that a device would give on a TLS server, and why.",
        "everpin check broker.example:8883 --device /var/lib/everpin\n"
        "everpin check api.example --policy policy.toml --at 2029-03-15\n"
        "everpin check api.example --policy policy.toml --served chain.pem --json",
    )
    check.add_argument("peer", metavar="HOST[:PORT]", help="port 443 when none is said")
    whose = check.add_mutually_exclusive_group(required=True)
    whose.add_argument("--device", metavar="DIR", help="the folder of the device that judges")
    whose.add_argument(
        "--policy",
        metavar="FILE",
        help="what devices trust: policy.toml, a fleet's folder, or a pins document",
    )
    check.add_argument(
        "--served",
        metavar="FILE",
        help="judge these certificates, leaf first, instead of asking the server; without a handshake the machine's own check of usages 0 and 1 is ours alone",
    )
    check.add_argument(
        "--at",
        metavar="TIME",
        help="the time by a clock that the device believes (ISO 8601, UTC); without it now, when the policy names such a clock, else no date is judged",
    )
    check.add_argument("--agent", metavar="DIR", help="judge by this copy of agent/")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_lazily("check"))
    return parser


def _lazily(name: str) -> "Callable[[argparse.Namespace], int]":
    """Return a function that imports the port's module `name` when it is called, and runs its `main`."""

    def run(args: argparse.Namespace) -> int:
        module = importlib.import_module("." + name, __package__)
        return int(module.main(args))

    return run


def _say(text: str) -> None:
    print("everpin: " + text, file=sys.stderr)


def lacking(extra: str) -> "list[str]":
    """Return the third-party modules of an extra that this environment does not have."""
    return [module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]


def _delegate(verb: str, argv: "list[str]") -> int:
    """Run another package's verb, its own name first in `argv`; say which extra it needs where that is not installed."""
    _, extra, module = DELEGATED[verb]
    if lacking(extra):
        later = "" if module else " (the verb itself comes in a later release)"
        _say(f"'{verb}' needs the extra '{extra}': pip install 'everpin[{extra}]'{later}")
        return 2
    if not module:
        _say(f"'{verb}' comes in a later release")
        return 2
    return int(importlib.import_module(module).main([verb, *argv]))


def _dispatch(argv: "list[str]") -> int:
    if not argv:
        print(_overview(), end="", file=sys.stderr)
        return 2
    verb = argv[0]
    if verb in ("-h", "--help", "help"):
        print(_overview(), end="")
        return 0
    if verb in ("-V", "--version"):
        print("everpin " + _version())
        return 0
    if verb in DELEGATED:
        return _delegate(verb, argv[1:])
    if verb not in OWN:
        near = difflib.get_close_matches(verb, [*OWN, *DELEGATED], n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        _say(f"no verb '{verb}'; {hint}everpin --help lists them")
        return 2
    args = _parser().parse_args(argv)
    return int(args.run(args))


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one verb and return the exit status; `argv` without the program's name, by default the process's own."""
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        # Here, so that a reader who went away is noticed inside this `try`.
        if sys.stdout is not None:  # None where it was closed before the start
            sys.stdout.flush()
        return status
    except SystemExit as ended:
        # argparse ends this way, after its own message.
        if isinstance(ended.code, str):
            _say(ended.code)
            return 1
        return ended.code or 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:
        # `everpin ... | head -1`: the reader has what it wanted. Python flushes standard output once more at exit, so it gets a
        # place where that succeeds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
