"""CPython 3.11+ on Raspberry Pi class machines: TLS, MQTT, the clock, the command line."""
