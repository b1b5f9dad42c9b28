"""Floor 5. The command line: argv in, exit codes out.

Exit codes: 0 done; 1 the job has undecided or failed items (or a replay differs); 2 the call was wrong; 3 a service is
missing; 130 interrupted; 141 whoever read our output went away. Data goes to stdout, everything else to stderr.
"""

from app.cli.entry import main as main
