"""The command line: argv, printing, exit codes, and nothing else. Each verb has a file of its own."""
