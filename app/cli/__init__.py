"""Floor 5. The command line: argv in, exit codes out."""
