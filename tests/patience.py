"""How long a test waits for what must come."""

HANGS_AFTER_SECONDS = 900
"""Only what hangs takes so long: one slow CPU that other programs share may need ten minutes for what takes one elsewhere."""
