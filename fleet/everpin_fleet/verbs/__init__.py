"""The operator's verbs, one module each: `add(verbs)` gives its parser, which sets `run`, a function of the parsed arguments."""
