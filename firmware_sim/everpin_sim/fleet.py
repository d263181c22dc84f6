"""The operator's hand: the real verbs, in the fleet's folder, as an operator would call them."""

import contextlib
import io
from pathlib import Path

from everpin_fleet import cli


class VerbFailed(Exception):
    """A verb of the operator's failed; the text is what it said."""


def verb(*argv: str) -> str:
    """Run `everpin ARGV…`; return what it printed, raise `VerbFailed` when it refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(list(argv))
    if code:
        raise VerbFailed(f"everpin {' '.join(argv[:2])}: {err.getvalue().strip()}")
    return out.getvalue()


def secret_file(path: Path, secret: str) -> Path:
    """Write a password file of mode 0600."""
    path.touch(mode=0o600)
    path.write_text(secret)
    return path
