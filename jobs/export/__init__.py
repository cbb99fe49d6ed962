"""A finished model as a folder to give away: the adapter, or the merged weights, with a card and checksums."""
