"""The operator's verbs; `everpin` hands them over with their arguments.

Exit status: 0 done, 1 refused or failed, 2 wrong use. Errors are one line: what happened, where, what to do next.
"""

import argparse
import sys

from .errors import OperatorError
from .verbs import acl, flash, init, key, pin, provision, publish, reports, sign

_VERBS = (init, key, pin, sign, publish, provision, flash, reports, acl)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="everpin", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in _VERBS:
        module.add(verbs)
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
