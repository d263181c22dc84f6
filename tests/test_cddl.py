"""What devices write is what the CDDL says: reports, acks, and the records on flash."""

import cddl
from everpin.core import cbor, report, sealing
from everpin.core.store import Store


def test_reports_and_acks_are_what_the_cddl_says() -> None:
    events = report.Events()
    events.note(report.PIN_FAILURE, "broker.example", 31, (1, 2), b"p" * 32, 1_790_000_000)
    events.note(report.ACCEPTED)
    made = report.make(
        b"k" * 32, "acme", "m", b"e" * 8, 1, (1, 2), 1, events.copy(), b"n" * 16, False
    )
    cddl.validate(made, "report")
    cddl.validate(
        report.make_ack(b"k" * 32, "acme", "m", b"n" * 16, (1, 2), 1_790_000_000),
        "ack",
    )


def test_records_on_flash_are_what_the_cddl_says() -> None:
    import making
    import tools

    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-6-forbid-a.cbor")
    trust = Store(flash).load()
    cddl.rule("commit-body").validate_cbor(trust.encode())
    cddl.rule("base-record").validate_cbor(cbor.loads(trust.encode(), 20000)[11])
    factory = cbor.loads(tools.data("factory.cbor"), 20000)
    # Validated one by one: the two documents lie in it as byte strings.
    cddl.validate(factory[5], "root")
    cddl.validate(factory[6], "pins")
    sealed = tools.data("secrets.cbor")
    plain = sealing.open_sealed(tools.data("device.key"), "acme", "meter-1", sealed)
    cddl.rule("secrets").validate_cbor(plain)
