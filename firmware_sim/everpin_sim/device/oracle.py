"""What a device must be worth after a cut or a fault: the uncut run of an update path, and judgements by it.

The oracle speaks of trust, not of bytes. After every cut and reboot: the device boots; its trust state is one of the uncut run's,
the last that was committed or the one after it; its numbers are no lower; the genuine server of that state is accepted, the
thief refused; what was delivered and is delivered again is in force then, and at the path's end the state is the uncut run's, in
RAM and on flash, with no copy lacking. Device dialect.
"""

from everpin.core.store import Store, provision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin_sim.device.cutflash import CutFlash, PowerCut
    from everpin_sim.device.lives import Failed, Life, Path
    from everpin_sim.device.mediums import Memory
    from everpin_sim.device.rawrecords import copies

    # What an event leaves behind: flash, index of the state committed last, operation under way, whether a record has rotted.
    After = tuple[CutFlash, int, int, bool]
else:
    from cutflash import PowerCut
    from lives import Failed, Life
    from rawrecords import copies


class Oracle:
    """The uncut run of a path over a medium, and what is right after an event in it.

    `origin` is the flash before the path, `uncut` after it with its log of steps, `rests` after each operation; `states` the trust
    states in their order: (state, numbers, operation whose servers it accepts); `after` the index of the state after each operation.
    `floor` and `op` follow the case under way: the index of the state that was committed last, and the operation.
    """

    def __init__(self, path: "Path", medium: "Memory") -> None:
        self._path = path
        self._medium = medium
        self._another = medium.another()
        self._verdicts: "dict[tuple[Any, ...], Failed | None]" = {}
        self.floor = 0
        self.op = 0
        self.origin = self._make_origin()
        self._factories = copies(self.origin)[1]
        self._run_uncut()

    @property
    def distinct(self) -> int:
        """Return how many different devices were judged: where the flash is the same, so is what follows."""
        return len(self._verdicts)

    def close(self) -> None:
        """End every life."""
        self._medium.close()
        self._another.close()

    # ---- the uncut run -----------------------------------------------------------------------------------------------

    def _make_origin(self) -> "CutFlash":
        raw = self._medium.make()
        flash = self._medium.open(raw)
        provision(flash, self._path.factory, b"sealed")
        if self._medium.rots and copies(raw)[1] != 2:
            raise Failed("lowered", "one factory record is all there is")
        life = Life(self._path, flash)
        held: "dict[str, str]" = {}
        for op in self._path.before:
            held.update(op.get("topics", {}))
            life.act(op, held)
        store = Store(flash)
        trust = store.load()
        for _ in range(self._path.age):
            store.commit(trust)
        self._medium.close()
        raw.restart()
        return raw

    def _run_uncut(self) -> None:
        raw = self.origin.copy()
        life = self._boot(raw)
        self.states = [(life.state(), life.numbers(), -1)]
        self._as_delivered(life, -1)
        self.after: "list[int]" = []
        self.rests: "list[CutFlash]" = []

        def note(life: "Life") -> None:
            if life.state() != self.states[-1][0]:
                self.states.append((life.state(), life.numbers(), self.op - 1))

        life.note = note
        for number in range(len(self._path.ops)):
            self.op = number
            before = len(self.states)
            life.do(number)
            if len(self.states) > before:
                # The last state of an operation is the one whose servers its path names.
                state, numbers, _ = self.states[-1]
                self.states[-1] = (state, numbers, number)
            self._as_delivered(life, number)
            self.after.append(len(self.states) - 1)
            self.rests.append(raw.copy())
            # In another life: what is refused is noted, and would come into this one's reports.
            self._servers(self._boot(raw.copy(), self._another), number, False)
        self.uncut = raw
        self._medium.close()

    def _as_delivered(self, life: "Life", op: int) -> None:
        """Judge the uncut run itself: by the documents, not by what the agent makes of them."""
        if life.numbers() != self._path.numbers(op):
            raise Failed("lowered", "not the numbers that were delivered, after operation %d" % op)

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _boot(self, raw: "CutFlash", medium: "Memory | None" = None) -> "Life":
        medium = medium or self._medium
        try:
            medium.close()
            return Life(self._path, medium.open(raw))
        except PowerCut:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a boot raises, the device is bricked
            raise Failed("bricked", "it does not boot: " + repr(error))

    def rest(self, op: int) -> "CutFlash":
        """Return the flash at rest after an operation, -1 for before all."""
        return self.origin if op < 0 else self.rests[op]

    def live(self, raw: "CutFlash", stop: bool = False) -> None:
        """Live through the path in one go; after a fault deliver again, and end there when told to `stop`.

        Raise `Failed`, or PowerCut where a cut is set: then `floor` and `op` say how far it came.
        """
        self.floor = 0
        self.op = 0
        life = self._boot(raw)
        self._noted(life)
        life.note = self._noted
        for number in range(len(self._path.ops)):
            self.op = number
            life.do(number)
            fault = raw.full if raw.dropped is None else raw.dropped
            if fault is not None and fault < raw.steps:
                self._same_on_flash(life, raw)
                raw.dropped = None
                raw.full = None
                life.do(number)
                if not raw.stays:
                    self._copies(raw)
                if stop:
                    return
            self._must_be(life, number)
        self._end(life, raw)

    def recover(self, raw: "CutFlash", floor: int, op: int, loose: bool) -> "Life":
        """Boot and deliver again what was under way; raise `Failed`, or PowerCut where a cut is set."""
        self.floor = floor
        self.op = op
        life = self._boot(raw)
        self._judge(life, loose)
        if loose:
            # What has rotted is asked for by the device itself; the broker has kept it.
            life.act({"do": "publish"}, self._path.retained(op))
        else:
            life.note = self._noted
        if op >= 0:
            life.do(op)
        self._must_be(life, op)
        life.note = self._noted
        return life

    def verdict(self, after: "After") -> "Failed | None":
        """Return what is wrong with a device after its last event, None when nothing is."""
        raw, floor, op, loose = after
        key = (raw.image(), floor, op, loose)
        if key not in self._verdicts:
            failed = None
            try:
                self.finish(after)
            except Failed as found:
                failed = found
            self._verdicts[key] = failed
        return self._verdicts[key]

    def finish(self, after: "After") -> None:
        """Boot after a device's last event, recover, and go on to the path's end; raise `Failed`."""
        raw, floor, op, loose = after
        life = self.recover(raw, floor, op, loose)
        self._copies(raw)
        for number in range(op + 1, len(self._path.ops)):
            self.op = number
            life.do(number)
            self._must_be(life, number)
        self._end(life, raw)

    # ---- judgements --------------------------------------------------------------------------------------------------

    def _noted(self, life: "Life") -> None:
        """Judge the state after a call of the agent: the one committed last, or the next, which then is."""
        state = life.state()
        if state != self.states[self.floor][0]:
            following = self.floor + 1
            if following == len(self.states) or state != self.states[following][0]:
                raise Failed("lost", "neither the state committed last nor the one after it")
            self.floor = following

    def _judge(self, life: "Life", loose: bool) -> None:
        """Judge a device that has just booted; `loose` where a record has rotted: then older documents may be in force."""
        version, number, since, forbidden = life.numbers()
        least = self.states[self.floor][1]
        if version < least[0] or number < least[1] or since < least[2]:
            raise Failed("lowered", "numbers fell")
        for digest in least[3]:
            if digest not in forbidden:
                raise Failed("lowered", "a forbidden key is forgotten")
        if not loose:
            self._noted(life)
        self._servers(life, self.states[self.floor][2], loose)

    def _servers(self, life: "Life", op: int, loose: bool) -> None:
        good, bad = self._path.servers(op)
        if loose:
            # Only the thief, the last of them, is refused by every older document.
            good, bad = [], bad[-1:]
        for cert in good:
            if not life.accepts(cert):
                raise Failed("bricked", "the genuine server is refused: " + cert)
        for cert in bad:
            if life.accepts(cert):
                raise Failed("lowered", "accepted: " + cert)

    def _must_be(self, life: "Life", op: int) -> None:
        """The state after an operation is exactly the uncut run's."""
        self.floor = 0 if op < 0 else self.after[op]
        if life.state() != self.states[self.floor][0]:
            raise Failed("lost", "what was delivered is not in force after operation %d" % op)

    def _same_on_flash(self, life: "Life", raw: "CutFlash") -> None:
        """A device that loses its power now is what it believes to be: a fault was noticed, or did nothing."""
        if self._boot(raw.copy(), self._another).state() != life.state():
            raise Failed("lost", "the flash holds another state than the device believes")

    def _copies(self, raw: "CutFlash") -> None:
        """No copy of the commit, nor of the factory record, is lacking after a recovery."""
        if not self._medium.rots:
            return
        commits, factories = copies(raw)
        if commits < 2:
            raise Failed("lowered", "one commit record is all there is")
        if factories < self._factories:
            raise Failed("lowered", "one factory record is all there is")

    def _end(self, life: "Life", raw: "CutFlash") -> None:
        self._must_be(life, len(self._path.ops) - 1)
        self._same_on_flash(life, raw)
