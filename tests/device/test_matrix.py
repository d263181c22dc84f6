"""Every cell of the matrix (tests/matrix.py) by the agent's own verdict, on both interpreters."""

import gc
import os

import matrix_steps
from everpin.core import path_rules

assert path_rules.Rules  # loaded now: a board has it in flash, and the harness makes room for it


def _play(*states):
    for state in states:
        for usage in range(4):
            for which in ("own", "middle"):
                _phase("%s-%s-%d" % (state, which, usage))


def _phase(phase):
    made, had, chain = None, "", []  # one device at a time fits the heap
    gc.collect()
    made = matrix_steps.device(phase)
    with open("%s/matrix-%s.txt" % (os.getenv("EVERPIN_TEST_DATA"), phase)) as rows:
        for row in rows:
            kind, where, wanted = row.split()
            if kind != had:
                had, chain = kind, matrix_steps.chain(kind)
            said = matrix_steps.said(made.verdict(where, chain, []))
            assert said == wanted, (kind, where, wanted, said)
            made.drain()
            gc.collect()


def test_pins_that_are_in_force():
    _play("current", "both", "retiring")


def test_pins_of_keys_that_nobody_serves_yet():
    _play("backup-only")


def test_forbidden_keys():
    _play("forbidden")


def test_overlap():
    _play("overlap")


def test_a_pins_record_that_has_rotted():
    _play("corrupt")


def test_expired_pins_with_each_follow_up():
    _play("expired-trust-store", "expired-closed", "expired-keep")


def test_hosts_without_an_entry():
    _phase("empty")
    _phase("empty-pkix")
