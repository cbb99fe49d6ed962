"""Imported once by the server from which every training is forked: the imports take ten seconds, a training two."""

import axolotl.cli.train  # noqa: F401

import callbacks.plugin  # noqa: F401
