"""Light modules that the jobs read too: no torch, no Axolotl, no transformers."""
