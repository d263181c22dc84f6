"""An HSS-LMS key that signs: one role, and no leaf twice, whatever is cut, copied or restored (RFC 8554; DESIGN section 9)."""

import hmac
from collections.abc import Iterable
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pyhsslms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from everpin import crypto
from everpin.core import keys as device_keys

from . import files, keys, lms_state, lms_trees
from .errors import OperatorError
from .lms_trees import Parameters, Progress, leaf_of

TOP = -1  # the top tree's index; lower trees count from 0


class LmsKey:
    """A hash-based signing key. `alg`, `kid` and `cose_key` as other signing keys have them; `role` is the only one it signs for."""

    def __init__(
        self, path: Path, role: str, parameters: Parameters, public: bytes, secret: bytes
    ) -> None:
        self.path = path
        self.name = path.stem
        self.role = role
        self.parameters = parameters
        self.height = parameters.height
        self.alg = device_keys.HSS_LMS
        self.public = public
        self.cose_key: dict[int, Any] = dict(device_keys.encode(self.alg, public))
        self.kid = keys.public_of(self.name, self.cose_key, str(path)).kid
        self.progress: Progress | None = None
        self.secret = secret
        self._trees: dict[int, pyhsslms.LmsPrivateKey] = {}

    # ---- what is left ---------------------------------------------------------------------------------------------------

    def _state(self) -> AbstractContextManager[lms_state.State]:
        return lms_state.opened(
            self.path.with_suffix(".state"), self.kid, self.height, self.parameters.levels
        )

    def remaining(self) -> int:
        """Return how many signatures are left."""
        with self._state() as state:
            return state.total - state.next

    @property
    def warning(self) -> str:
        """Return what to tell the operator when fewer than a tenth are left, else ""."""
        left = self.remaining()
        if left * 10 >= self.parameters.total:
            return ""
        return f"{self.name}: {left} of {self.parameters.total} signatures left; put its successor into the next root"

    # ---- signing --------------------------------------------------------------------------------------------------------

    def sign(
        self, data: bytes, role: str, published: Iterable[bytes] = (), last: bool = False
    ) -> bytes:
        """Return an HSS signature; the same message gets the very signature that it got before.

        `published` holds every signature by this key that is found in documents: one that the state does not know says that the
        state is an old copy. `last` allows the last leaf, which is kept for the root that names this key's successor.
        """
        if role != self.role:
            raise OperatorError(
                f"this key signs {self.role} documents, not {role}",
                str(self.path),
                "an LMS key serves one role for ever; sign with another key",
            )
        digest = sha256(data).digest()
        with self._state() as state:
            self._check_published(state, published)
            kept = state.kept(digest)
            if kept is not None:
                return self._checked(data, *kept)
            leaf = self._next_leaf(state, last)
            trees = self._trees_of(state, leaf)
            # From here on the leaf is used, whatever happens. DESIGN section 9.
            state.record(leaf, digest)
            signed_keys = []
            inside = leaf & ((1 << self.height) - 1)
            try:
                if self.parameters.levels == 2:
                    signed_keys = [self._top_signature(state, leaf >> self.height, trees)]
                signature = lms_trees.sign(self.parameters, trees, signed_keys, inside, data)
            except ValueError:
                # The library's own guard, which knows only of this process.
                raise OperatorError(
                    f"leaf {leaf} has signed already: the state was replaced by an older one",
                    str(state.path),
                    "bring back the newest state, or skip ahead of every leaf that was used",
                ) from None
            state.keep(leaf, self._checked(data, leaf, signature))
        return signature

    def _checked(self, data: bytes, leaf: int, signature: bytes) -> bytes:
        # A wrong signature under a used leaf helps a forger as much as a second one: it never leaves.
        if not crypto.verify(self.alg, self.public, data, signature):
            raise OperatorError(
                f"the signature by leaf {leaf} does not verify and was not given out",
                str(self.path.with_suffix(".state")),
                "look for a damaged disk or memory, then sign again: another leaf is taken for another message",
            )
        return signature

    def _next_leaf(self, state: lms_state.State, last: bool) -> int:
        left = state.total - state.next
        if left == 0:
            raise OperatorError(
                f"all {state.total} signatures are used",
                str(self.path),
                "sign with another key of the role",
            )
        if left == 1 and not last:
            raise OperatorError(
                "one signature is left, kept for the root that names this key's successor",
                str(self.path),
                "make the successor, put it into the policy, and allow the last leaf for that root (last=True)",
            )
        return state.next

    def _check_published(self, state: lms_state.State, published: Iterable[bytes]) -> None:
        seen: set[tuple[int, bytes]] = set()
        for signature in published:
            if len(signature) != self.parameters.signature_bytes:
                raise OperatorError(
                    "a published signature is not of this key's parameters", str(self.path)
                )
            seen.add((leaf_of(signature), signature))
        for leaf, signature in sorted(seen):
            if leaf < state.skipped:
                continue  # the operator has said so
            known = state.used.get(leaf)
            if known is not None and known.signature == signature:
                continue
            then = (
                f"bring back the newest state; if there is none, skip ahead: skip_to({max(seen)[0] + 1}), or higher if more may have been "
                "signed than is published"
            )
            if known is not None and known.signature is not None:
                then += f"; leaf {leaf} has signed two messages, so retire this key as soon as another can sign"
            raise OperatorError(
                f"this key file or its state was restored from a backup; leaf {leaf} was used already",
                str(self.path.with_suffix(".state")),
                then,
            )

    def skip_to(self, leaf: int, published: Iterable[bytes] = ()) -> int:
        """Record that every leaf below is used, for a restored or lost state; return the leaf that signs next."""
        path = self.path.with_suffix(".state")
        above = max((leaf_of(signature) for signature in published), default=0)
        if leaf <= above:
            raise OperatorError(
                f"leaf {above} is used, so {leaf} is not far enough", str(path), "skip further"
            )
        if not path.exists():
            lms_state.create(path, self.kid, self.height, self.parameters.levels)
        with self._state() as state:
            if not state.next <= leaf <= state.total:
                raise OperatorError(
                    f"leaf {leaf} is none of those ahead: {state.next} to {state.total}", str(path)
                )
            state.skip(leaf)
            return state.next

    # ---- trees ----------------------------------------------------------------------------------------------------------

    def _derived(self, purpose: str, index: int, length: int) -> bytes:
        info = f"everpin/1 lms {purpose} {index}".encode()
        return HKDF(hashes.SHA256(), length, None, info).derive(self.secret)

    def _trees_of(self, state: lms_state.State, leaf: int) -> list[pyhsslms.LmsPrivateKey]:
        trees = [self.tree(TOP)]
        if lms_trees.public_key(self.parameters, trees[0]) != self.public:
            raise OperatorError(
                "the secret does not belong to the public key beside it", str(self.path)
            )
        if self.parameters.levels == 2:
            index = leaf >> self.height
            trees.append(self.tree(index))
            top = state.tops.get(index)
            if top is not None and top[0] != trees[1].publicKey().serialize():
                raise OperatorError(
                    f"the state names another public key for lower tree {index}", str(state.path)
                )
        return trees

    def _top_signature(
        self, state: lms_state.State, index: int, trees: list[pyhsslms.LmsPrivateKey]
    ) -> bytes:
        if index not in state.tops:
            below = trees[1].publicKey().serialize()
            trees[0].q = index
            state.keep_top(index, below, trees[0].sign(below))
        return state.tops[index][1]

    def tree(self, index: int) -> pyhsslms.LmsPrivateKey:
        """Return the top tree, or a lower one; all come of one secret."""
        if index not in self._trees:
            seed = self._derived("seed", index, self.parameters.n)
            identifier = self._derived("identifier", index, 16)
            leaves = self._leaves(index, seed, identifier)
            self._trees[index] = lms_trees.tree(self.parameters, seed, identifier, leaves)
        return self._trees[index]

    def _leaves(self, index: int, seed: bytes, identifier: bytes) -> bytes:
        """Return the public leaves of a tree: from the file beside the key when they are right there, else made and put there."""
        path = self.path.with_suffix(".tree")
        found: dict[int, list[bytes]] = {}
        try:
            said = cbor2.loads(path.read_bytes())
            for number, (leaves, tag) in said.items():
                if hmac.compare_digest(tag, self._tag(number, leaves)):
                    found[number] = [leaves, tag]
        except (OSError, ValueError, TypeError, AttributeError, cbor2.CBORDecodeError):
            found = {}  # it is a cache: whatever is wrong with it, it is made again
        if index not in found:
            leaves = lms_trees.public_leaves(self.parameters, seed, identifier, self.progress)
            found = {number: item for number, item in found.items() if number == TOP}
            found[index] = [leaves, self._tag(index, leaves)]
            files.write(path, cbor2.dumps(found, canonical=True), 0o600)
        return found[index][0]

    def _tag(self, index: int, leaves: bytes) -> bytes:
        return hmac.digest(self._derived("cache", index, 32), leaves, "sha256")


class Bound:
    """An LMS key bound to what it signs now: it has what every other signing key has."""

    def __init__(self, key: LmsKey, role: str, published: Iterable[bytes], last: bool) -> None:
        self.name, self.alg, self.kid, self.cose_key = key.name, key.alg, key.kid, key.cose_key
        self.key = key
        self._role, self._published, self._last = role, list(published), last

    def sign(self, data: bytes) -> bytes:
        """Return an HSS signature."""
        return self.key.sign(data, self._role, self._published, self._last)

    @property
    def warning(self) -> str:
        """Return what the operator should know of the signatures that are left, "" as long as there are many."""
        return self.key.warning


__all__ = ("TOP", "Bound", "LmsKey")
