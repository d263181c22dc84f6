"""Power cuts by exhaustion: every step of an update path, every kind of cut and fault, and a second cut during the recovery.

Ids: PATH/uncut for the path without any of that, PATH/1/STEP/KIND for a cut or a fault at a step, PATH/1/opN/ack for a delivery that is repeated because the power went before
its acknowledgement, PATH/1/atN/rot-RECORD-FIELD for a record that has rotted after operation N (-1: before all). PATH/2/…/STEP/KIND
appends a second cut, at a step of the recovery from the first event. What is right, oracle.py says. Device dialect.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from everpin_sim.device.cutflash import FAULT_KINDS, CutFlash, PowerCut
    from everpin_sim.device.lives import Failed, Path
    from everpin_sim.device.mediums import Memory
    from everpin_sim.device.oracle import After, Oracle
    from everpin_sim.device.rawrecords import COMMIT, KINDS, records
else:
    from cutflash import FAULT_KINDS, PowerCut
    from lives import Failed
    from oracle import Oracle
    from rawrecords import COMMIT, KINDS, records

_FAILED_MAX = 20
_TELL_EVERY = 200


class Result:
    """What a sweep found: how many `steps` the uncut path has, how many `cases` were run, what went wrong, in which cases.

    `failed` is [(id, why)] of the first ones.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.cases = 0
        self.wrong = {"bricked": 0, "lost": 0, "lowered": 0}
        self.failed: "list[tuple[str, str]]" = []

    def add(self, case: str, failed: "Failed | None") -> None:
        """Count a case."""
        self.cases += 1
        if failed is not None:
            self.wrong[failed.what] += 1
            if len(self.failed) < _FAILED_MAX:
                self.failed.append((case, str(failed)))


class Sweep:
    """All cases of one path over one medium."""

    def __init__(self, path: "Path", medium: "Memory") -> None:
        self._path = path
        self._rots_at_all = medium.rots
        self.oracle = Oracle(path, medium)
        self._places: "dict[int, list[tuple[str, int]]]" = {}

    def run(
        self,
        depth: int,
        want: str = "",
        tell: "Callable[[int, str], None] | None" = None,
        fast: bool = False,
    ) -> "Result":
        """Run every case of up to `depth` events, or the one with the id `want`; `tell` hears of progress.

        `fast`: end with the first event after which something is wrong.
        """
        result = Result()
        result.steps = self.oracle.uncut.steps
        told = 0
        if want == self._path.name + "/uncut":
            result.add(want, None)  # else there were no oracle
        for where, kind in self.firsts():
            tail = where + "/" + kind
            case = self._path.name + "/1/" + tail
            if want in ("", case):
                result.add(case, self.single(where, kind))
            head = self._path.name + "/2/" + tail + "/"
            if (depth == 2 and want == "") or want.startswith(head):
                for second, failed in self.doubles(where, kind, want[len(head) :]):
                    result.add(head + second, failed)
            if fast and result.failed:
                break
            if tell is not None and result.cases - told >= _TELL_EVERY:
                told = result.cases
                tell(told, case)
        self.oracle.close()
        return result

    # ---- one event ---------------------------------------------------------------------------------------------------

    def firsts(self) -> "Iterator[tuple[str, str]]":
        """Yield (where, kind) of every first event."""
        uncut = self.oracle.uncut
        for step in range(uncut.steps):
            for kind in uncut.kinds(step) + FAULT_KINDS:
                yield str(step), kind
        for op in range(len(self._path.ops)):
            yield "op%d" % op, "ack"
        if self._rots_at_all:
            for op in range(-1, len(self._path.ops)):
                for name, _ in self._rots(op):
                    yield "at%d" % op, name

    def single(self, where: str, kind: str) -> "Failed | None":
        """Return what is wrong after one event, None when nothing is."""
        try:
            if kind in FAULT_KINDS:
                self.oracle.live(self._faulty(where, kind))
                return None
            after = self._first(where, kind)
        except Failed as failed:
            return failed
        return self.oracle.verdict(after)

    def _first(self, where: str, kind: str) -> "After":
        """Return what a cut, a lost acknowledgement or rot leaves behind."""
        if kind == "ack":
            op = int(where[2:])
            return self.oracle.rests[op].copy(), self.oracle.after[op], op, False
        if where.startswith("at"):
            op = int(where[2:])
            raw = self.oracle.rest(op).copy()
            for name, offset in self._rots(op):
                if name == kind:
                    raw.flip(offset)
            return raw, 0 if op < 0 else self.oracle.after[op], op, True
        raw = self.oracle.origin.copy()
        raw.cut = (int(where), kind)
        try:
            self.oracle.live(raw)
        except PowerCut:
            raw.restart()
            return raw, self.oracle.floor, self.oracle.op, False
        raise Failed("lost", "the cut was never met")

    def _faulty(self, where: str, kind: str) -> "CutFlash":
        raw = self.oracle.origin.copy()
        if kind.endswith("dropped"):
            raw.dropped = int(where)
        else:
            raw.full = int(where)
        raw.stays = kind.startswith("all-")
        return raw

    # ---- a second one ------------------------------------------------------------------------------------------------

    def doubles(
        self, where: str, kind: str, want: str = ""
    ) -> "Iterator[tuple[str, Failed | None]]":
        """Yield (id, what is wrong) for a second cut at every step of the recovery from a first event that went well."""
        oracle = self.oracle
        fault = kind in FAULT_KINDS
        first = 0
        loose = False
        start: "After | None" = None
        try:
            if fault:
                raw = self._faulty(where, kind)
                oracle.live(raw, True)
                first = int(where) + 1
            else:
                start = self._first(where, kind)
                loose = start[3]
                raw = start[0].copy()
                oracle.recover(raw, start[1], start[2], loose)
        except Failed:
            return  # told as a case of one event
        for step in range(first, raw.steps):
            for second in raw.kinds(step):
                name = "%d/%s" % (step, second)
                if want not in ("", name):
                    continue
                cut = self._faulty(where, kind) if start is None else start[0].copy()
                cut.cut = (step, second)
                try:
                    if start is None:
                        oracle.live(cut, True)
                    else:
                        oracle.recover(cut, start[1], start[2], loose)
                    yield name, Failed("lost", "the cut was never met")
                except PowerCut:
                    cut.restart()
                    yield name, oracle.verdict((cut, oracle.floor, oracle.op, loose))
                except Failed as failed:
                    yield name, failed

    # ---- rot ---------------------------------------------------------------------------------------------------------

    def _rots(self, op: int) -> "list[tuple[str, int]]":
        """Return (name, offset) of every place that rots in a device at rest after an operation."""
        if op not in self._places:
            self._places[op] = list(_places(self.oracle.rest(op)))
        return self._places[op]


def _places(raw: "CutFlash") -> "Iterator[tuple[str, int]]":
    """Yield (name, offset): of every record some bytes of its header, of its digest and its body; of commits the newest four."""
    found = list(records(raw))
    commits = sorted([item.sequence for item in found if item.kind == COMMIT])
    oldest = commits[-4] if len(commits) >= 4 else 0
    count: "dict[int, int]" = {}
    for item in found:
        if item.kind == COMMIT and item.sequence < oldest:
            continue
        nth = count.get(item.kind, 0)
        count[item.kind] = nth + 1
        for field, inside in (
            ("magic", 0),
            ("kind", 3),
            ("sequence", 6),
            ("length", 10),
            ("digest", 20),
            ("body", 44 + (item.length - 44) // 2),
            ("end", item.length - 1),
        ):
            yield "rot-%s%d-%s" % (KINDS[item.kind], nth, field), item.offset + inside
