"""What would waste the queue, found before anything is queued: one file a check."""
