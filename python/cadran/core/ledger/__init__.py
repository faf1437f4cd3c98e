"""The ledger of published values: written, read, verified."""
