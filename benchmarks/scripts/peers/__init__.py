"""The same weights by the bare call of each engine, beside this package's pipeline, which must not be 5 % slower."""
