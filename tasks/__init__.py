"""Floor 5. Celery: the application, its queues, one thin file for each kind of bell."""
