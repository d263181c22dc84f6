"""The simulator: a PKI, brokers, an attacker and devices, all on loopback; and the demo's story."""
