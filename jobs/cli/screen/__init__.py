"""What commands show: the journal, the status, a dry run."""
