"""The command line of what runs on a device for long: `everpin agent` and `everpin tunnel`."""

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]
    Lazily = Callable[[str], Callable[[argparse.Namespace], int]]


def _verb(
    verbs: "Verbs", name: str, what: str, text: str, examples: str
) -> "argparse.ArgumentParser":
    return verbs.add_parser(
        name,
        help=what,
        description=text,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def seconds(text: str) -> float:
    value = float(text)
    # Not a number compares false with everything, so the test is for what is wanted.
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"{text}: say more than 0 seconds and at most a day")
    return value


def address(text: str) -> "tuple[str, int]":
    """Return (host, port) of HOST:PORT; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 0xFFFF or (":" in host and host[0] != "["):
        raise argparse.ArgumentTypeError(f"{text}: say HOST:PORT, an IPv6 address as [::1]:PORT")
    host = host.strip("[]")
    try:
        host.encode("idna")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text}: {host} is no host name") from None
    return host, int(port)


def _connections(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text}: say a number from 1 to 1024")
    return int(text)


def _which(made: argparse.ArgumentParser) -> None:
    which = made.add_mutually_exclusive_group()
    which.add_argument(
        "--device", metavar="DIR", help="the device's folder (default: as the configuration says)"
    )
    which.add_argument(
        "--config", metavar="FILE", help="the configuration (default: /etc/everpin/agent.toml)"
    )


def agent(verbs: "Verbs", lazily: "Lazily", what: str) -> None:
    """Add `everpin agent`."""
    actions = verbs.add_parser("agent", description=what, help=what).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    run = _verb(
        actions,
        "run",
        "run a provisioned device",
        "Run the agent of a provisioned device until it is stopped.",
        "  everpin agent run /var/lib/everpin\n"
        "  everpin agent run --config /etc/everpin/agent.toml     as the unit does\n"
        "  everpin agent run /var/lib/everpin --once --json       one wake of a deep sleeper",
    )
    which = run.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "device",
        nargs="?",
        metavar="DIR",
        help="the device's folder, as `everpin provision` wrote it",
    )
    which.add_argument("--config", metavar="FILE", help="the configuration that names it")
    run.add_argument("--json", action="store_true", help="one JSON object per event, one per line")
    run.add_argument(
        "--once", action="store_true", help="do what is pending, print when to wake, and end"
    )
    run.add_argument(
        "--budget",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="the most time that --once may take (default: 60)",
    )
    run.set_defaults(run=lazily("runner"))
    _status(actions, lazily)
    _install(actions, lazily)


def _status(actions: "Verbs", lazily: "Lazily") -> None:
    made = _verb(
        actions,
        "status",
        "show what a device trusts, and what would lock it out next",
        "Show in one screen what is trusted, since when, signed by whom, and what would lock the device out next.\n"
        "It reads the device's folder beside the running agent, and writes nothing.",
        "  everpin agent status                                  the device of /etc/everpin/agent.toml\n"
        "  everpin agent status --device /var/lib/everpin --json",
    )
    _which(made)
    made.add_argument("--json", action="store_true", help="all of it as one JSON object")
    made.set_defaults(run=lazily("status_command"))


def _install(actions: "Verbs", lazily: "Lazily") -> None:
    made = _verb(
        actions,
        "install",
        "make the agent a hardened systemd service",
        "Write a hardened systemd unit and /etc/everpin/agent.toml, and say what is left to do.\n"
        "Files that are there and differ are left alone, all of them, unless --force is said.",
        "  everpin agent install --dry-run                        show what would be written\n"
        "  everpin agent install                                  device in /var/lib/everpin\n"
        "  everpin agent install --root build/rootfs              into an image, for /usr/bin/everpin there\n"
        "  everpin agent install --user --device $HOME/everpin    for yourself, without root",
    )
    made.add_argument(
        "--device", metavar="DIR", help="the device's folder (default: /var/lib/everpin)"
    )
    made.add_argument("--root", metavar="DIR", help="write into the image in this folder")
    made.add_argument(
        "--user", action="store_true", help="a service of your own user manager, below ~/.config"
    )
    made.add_argument(
        "--run-as",
        metavar="NAME",
        help="the service's user (default: everpin, made by sysusers.d)",
    )
    made.add_argument(
        "--program",
        metavar="PATH",
        help="the command `everpin` on the machine (default: this one; /usr/bin/everpin with --root)",
    )
    made.add_argument("--dry-run", action="store_true", help="print the files and write nothing")
    made.add_argument("--force", action="store_true", help="overwrite files that differ")
    made.set_defaults(run=lazily("install"))


def tunnel(verbs: "Verbs", lazily: "Lazily", what: str) -> None:
    """Add `everpin tunnel`."""
    made = _verb(
        verbs,
        "tunnel",
        what,
        "Listen on a local address, and carry each connection over TLS to one peer that the device's"
        " policy accepts.\nA refused peer gets no byte; the local program's connection is closed, and one"
        " line says why.\nWhoever can connect to that address uses the device's identity: a unix socket"
        " from systemd\n(ListenStream=/run/…, SocketMode=0600) narrows that to one user.",
        "  everpin tunnel --listen 127.0.0.1:1883 --to broker.example:8883 --device /var/lib/everpin\n"
        "  everpin tunnel --listen [::1]:1883 --to broker.example:8883      device by /etc/everpin/agent.toml\n"
        "  everpin tunnel --to broker.example:8883 --json                   sockets from systemd",
    )
    made.add_argument(
        "--listen",
        type=address,
        metavar="HOST:PORT",
        help="where programs connect; sockets that systemd passes take its place",
    )
    made.add_argument(
        "--to",
        type=address,
        required=True,
        metavar="HOST:PORT",
        help="the peer, by its name in the policy",
    )
    _which(made)
    made.add_argument(
        "--allow-remote", action="store_true", help="listen on addresses that other machines reach"
    )
    made.add_argument(
        "--max-connections",
        type=_connections,
        default=32,
        metavar="N",
        help="at a time; further ones are closed (default: 32)",
    )
    made.add_argument(
        "--json", action="store_true", help="one JSON object per event, one per line"
    )
    made.set_defaults(run=lazily("tunnel_command"))
