"""Turns the hand-written config and profile into a RunSpec."""
