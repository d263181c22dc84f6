"""Chains of real outages (everpin_sim.history), judged by devices that are pinned in several ways (tests/history_data.py)."""

import gc
import os

import making
import tools
from everpin.core import path_rules

assert path_rules.Rules  # loaded now: a board has it in flash, and the harness makes room for it
POLICIES = ("ee", "ta", "ta-old", "pkix-ee", "pkix", "pkix-old", "middle")


def _chain(event, moment):
    found = []
    while True:
        try:
            found.append(tools.data("history-%s-%s-%d.der" % (event, moment, len(found))))
        except OSError:
            return found


def _play(event):
    for policy in POLICIES:
        made, chain = None, None
        gc.collect()
        made = making.agent(making.flash("history-factory.cbor"))
        gc.collect()
        name = "history-%s-%s" % (event, policy)
        assert making.give(made, name + ".cbor") == "accepted"
        with open("%s/%s.txt" % (os.getenv("EVERPIN_TEST_DATA"), name)) as rows:
            for row in rows:
                moment, when, wanted = row.split()
                made.poll(int(when), "rtc", 1.0)
                chain = _chain(event, moment)
                said = made.verdict("api.example", chain, []).name
                assert said == wanted, (event, moment, policy, said)
                made.drain()
                gc.collect()


def test_addtrust_ends():
    _play("addtrust")


def test_dst_root_ca_x3_ends():
    _play("dst-x3")


def test_lets_encrypt_shortens_its_chain_and_changes_its_intermediates():
    _play("le-2024")


def test_gts_root_r4_loses_globalsign():
    _play("gts-r4")


def test_lets_encrypts_generation_y():
    _play("gen-y")
