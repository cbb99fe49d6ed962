"""The command line: argv, printing, exit codes, and nothing else. One file a verb."""
