"""What a process does to itself, apart from its work: how it starts and ends, whom it shields, where its locks are."""
