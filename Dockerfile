FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/switchyard

# The lock first: it changes less often than the code.
COPY requirements.lock ./
RUN pip install --require-hashes --no-deps -r requirements.lock

COPY pyproject.toml README.md LICENSE beat_schedule.py ./
COPY app ./app
COPY tasks ./tasks
RUN pip install --no-deps --no-build-isolation . \
 && useradd --system --create-home --home-dir /var/lib/switchyard switchyard

USER switchyard
WORKDIR /var/lib/switchyard
ENTRYPOINT ["switchyard"]
