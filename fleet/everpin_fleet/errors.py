"""One error for people: what happened, where, and what to do next."""


class OperatorError(Exception):
    """A refusal or failure that the operator can act on; the command line prints it as one line and exits 1."""

    def __init__(self, what: str, where: str = "", then: str = "") -> None:
        parts = [f"{where}: {what}" if where else what]
        if then:
            parts.append(then)
        super().__init__("; ".join(parts))
