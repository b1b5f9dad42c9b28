"""Postgres and Redis from wheels, for a machine where no URL is set.

What is on disk under the home (``SWITCHYARD_HOME``)::

    postgres/        the cluster, reached by a unix socket in a directory that only its user can enter
    redis/           the append-only file; Redis listens on loopback behind a password of its own
    servers.json     who owns the running servers, their pids with start times, their URLs (mode 0600)
    servers.lock     held while servers are being started or ended
    *.log            what the servers said in their last run

The servers live as long as the process that started them (the owner). ``stop()`` ends them; where the owner has no
time for that (SIGTERM, SIGKILL, a closed terminal) a watchdog process waits for its end and does it. Where the
watchdog was killed as well, the next ``start()`` on the same home finds the orphans by ``servers.json`` and ends them.

Warning: two containers that share one home over a volume are not told apart.
"""

from app.embedded.servers import Embedded as Embedded
from app.embedded.state import Urls as Urls
