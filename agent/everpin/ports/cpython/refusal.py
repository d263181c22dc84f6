"""The verdict behind an error of a client library: each wraps the refusal in errors of its own."""

from .gate import PinRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.verdict import Verdict

_ERRORS_MAX = 32  # libraries wrap three or four deep; causes may form a ring


def refusal(error: BaseException) -> "Verdict | None":
    """Return the verdict that refused the peer, None when this error has nothing to do with one.

    Looked through are causes, contexts, `reason` (urllib, urllib3) and errors among the arguments (requests, aiohttp).
    """
    found: list[object] = [error]
    for at in range(_ERRORS_MAX):
        if at == len(found):
            break
        item = found[at]
        if isinstance(item, PinRefused):
            return item.verdict
        if isinstance(item, BaseException):
            more = (item.__cause__, item.__context__, getattr(item, "reason", None), *item.args)
            found += [each for each in more if isinstance(each, BaseException)]
    return None
