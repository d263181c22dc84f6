"""What the two interpreters name differently, in one place.

MicroPython's compiler folds ``const(...)`` by that name; CPython has no such module, and there it is the identity.
"""

try:
    from micropython import const
except ImportError:

    def const(value: int) -> int:
        """Return ``value``: on CPython a constant needs no folding."""
        return value


__all__ = ("const",)
