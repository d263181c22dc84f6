"""Sans-I/O core: bytes and an injected time in; values, effects or one typed error out."""
