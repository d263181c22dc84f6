"""`everpin spki SOURCE...`: the pin of each source, one base64 line each."""

import base64
import getpass
import hashlib
import json
import os
import sys

from .spki_sources import SourceError, load, loose_mode, parse_peer, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

# One line of text; more than that is the wrong file.
_MAX_PASSPHRASE_BYTES = 4096


def _say(text: str) -> None:
    print("everpin: " + text, file=sys.stderr)


def _from_file(path: str) -> bytes:
    """Return the first line of a passphrase file; raise `SourceError`."""
    where = printable(path)
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_PASSPHRASE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "cannot be read").lower()
        raise SourceError(
            reason, where, "--passphrase-file names a file with the passphrase in it"
        ) from None
    if len(text) > _MAX_PASSPHRASE_BYTES:
        raise SourceError("is too long for a passphrase", where, "is it the right file?")
    mode = loose_mode(path)
    if mode is not None:
        _say(f"warning: {where}: others may read this passphrase (mode {mode:04o}); chmod 600 it")
    return text.split(b"\n", 1)[0].rstrip(b"\r")


def _ask(source: str) -> "Callable[[], bytes]":
    def ask() -> bytes:
        where = "standard input" if source == "-" else printable(source)
        try:
            # getpass reads the terminal itself, whatever standard input is; without one it would echo.
            os.close(os.open("/dev/tty", os.O_RDWR))
        except OSError:
            step = "give its passphrase: --passphrase-file"
            raise SourceError(
                "the key is encrypted and no terminal can be asked", where, step
            ) from None
        try:
            return getpass.getpass(f"passphrase of {where}: ").encode()
        except EOFError:
            raise SourceError(
                "no passphrase was given", where, "try again, or see --passphrase-file"
            ) from None

    return ask


def _warn(source: str) -> None:
    """Say what the reader of a pin must know about where it came from."""
    if source == "-":
        return
    if not os.path.lexists(source):
        if parse_peer(source) is not None:
            _say(
                f"warning: {printable(source)}: what was served is not verified; compare before you pin it"
            )
        return
    mode = loose_mode(source)
    if mode is not None and _holds_private(source):
        _say(
            f"warning: {printable(source)}: others may read this private key (mode {mode:04o}); chmod 600 it"
        )


def _holds_private(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"PRIVATE KEY-----" in file.read(1024 * 1024)
    except OSError:
        return False


def main(args: "argparse.Namespace") -> int:
    """Print the pins of `args.sources`; 0 when each gave one, 1 when any did not (the others are printed all the same)."""
    rows = []
    failed = False
    try:
        secret = None if args.passphrase_file is None else _from_file(args.passphrase_file)
    except SourceError as error:
        _say(str(error))
        return 1
    for source in args.sources:
        try:
            found = load(
                source, _ask(source) if secret is None else secret, args.chain, args.timeout
            )
            _warn(source)
        except SourceError as error:
            _say(str(error))
            failed = True
            continue
        for label, spki in found:
            pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
            rows.append({"source": source, "label": label, "pin": pin})
    if args.json:
        print(json.dumps({"ok": not failed, "pins": rows}, indent=1))
    else:
        # Pipes get the bare pins, as from openssl; a person who reads several wants to know which is which.
        named = len(rows) > 1 and sys.stdout is not None and sys.stdout.isatty()
        for row in rows:
            print(f"{row['pin']}  {row['label']}" if named else row["pin"])
    return 1 if failed else 0
