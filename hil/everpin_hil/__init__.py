"""The bench for real boards comes in a later release: targets, scenarios, oracle, evidence."""
