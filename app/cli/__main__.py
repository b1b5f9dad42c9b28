"""``python -m app.cli`` is ``switchyard``."""

from app.cli import main

main()
