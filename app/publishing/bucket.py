"""Editions in an S3-compatible bucket, by boto3 (the extra ``s3``), which is imported only when something is sent.

An edition's files come first, its page last of them, then the front files, their index last: a reader never meets an
index that names an edition that is not there. Keys are read from the environment when they are used. Retries of
botocore are off: the publisher's are the only ones.

Warning: a bucket has no step that replaces several objects at once, so a reader of a page that is being reprinted may
for a moment get the new pictures with the old page. A file that a reprint no longer has stays, and nothing links to it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from app.newspaper.paper import Bucket
from app.newspaper.setting.bundle import Bundle
from app.publishing.target import Untaken, in_order, misplaced

INSTALL = "pip install 'switchyard[s3]'"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/atom+xml; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".pdf": "application/pdf",
}
# An edition changes only by a reprint; the front with every edition.
_EDITION_CACHE, _FRONT_CACHE = "public, max-age=600", "public, max-age=60"
_CONNECT_S, _READ_S = 10, 30
# Of the codes in S3's reference ("Error responses"): what a person can do something about. Other words of the other
# side are not passed on.
_SAID = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "these keys may not write to it",
    "InvalidAccessKeyId": "the access key is unknown there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the session token has run out",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "PermanentRedirect": "it is in another region; set publish.bucket.region",
    "AuthorizationHeaderMalformed": "it is in another region; set publish.bucket.region",
    "SlowDown": "it asks to slow down",
    "EntityTooLarge": "a file is too large for it",
    "QuotaExceeded": "it is full",
}


class BucketTarget:
    """Raises ValueError where the endpoint or the prefix will not do, or boto3 is missing.

    ``allow_http``: plain http to other machines than this one. A signature, and no key, is what it would show.
    """

    name = "bucket"

    def __init__(self, bucket: Bucket, environ: Mapping[str, str], *, allow_http: bool = False) -> None:
        self._bucket = bucket
        self._environ = environ
        self._host = _host(bucket.endpoint, allow_http) if bucket.endpoint is not None else "amazonaws.com"
        self._prefix = bucket.prefix.strip("/")
        if ".." in PurePosixPath(self._prefix).parts or any(ord(c) < 32 for c in self._prefix):
            raise ValueError("publish.bucket.prefix must be a path such as papers/daily")
        if importlib.util.find_spec("boto3") is None:
            raise ValueError(f"publish.bucket wants boto3, which is not installed: {INSTALL}")

    @property
    def where(self) -> str:
        return "/".join(part for part in (f"s3://{self._bucket.name}", self._prefix) if part) + f" at {self._host}"

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        wrong = misplaced(bundle)
        if wrong is not None:
            return Untaken(wrong, final=True)
        names = (self._bucket.access_key_env, self._bucket.secret_key_env)
        lacking = [name for name in names if not self._environ.get(name)]
        if lacking:
            return Untaken(f"the bucket wants its keys: set {' and '.join(lacking)}")
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with closing(self._client()) as client:
                for path in in_order(bundle.files):
                    self._put(client, f"{bundle.name}/{path}", bundle.files[path], _EDITION_CACHE)
                for path in in_order(bundle.front):
                    self._put(client, path, bundle.front[path], _FRONT_CACHE)
        except ClientError as error:
            return Untaken(f"the bucket {self.where} did not take it: {_said(error.response)}")
        except (BotoCoreError, OSError, ValueError) as error:
            # Their texts may hold more than a person needs; the type says it.
            return Untaken(f"the bucket {self.where} cannot be reached: {type(error).__name__}")
        return None

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        # A token belongs to Amazon's own pair of names, and to no other.
        token = self._environ.get("AWS_SESSION_TOKEN") if self._bucket.access_key_env == "AWS_ACCESS_KEY_ID" else None
        session = boto3.session.Session(
            aws_access_key_id=self._environ[self._bucket.access_key_env],
            aws_secret_access_key=self._environ[self._bucket.secret_key_env],
            aws_session_token=token,
            region_name=self._bucket.region,
        )
        config = Config(
            signature_version="s3v4",
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"total_max_attempts": 1},
            # Checksums beyond the signature's are unknown to many that are compatible otherwise.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            ignore_configured_endpoint_urls=True,
            proxies={},
            s3={"addressing_style": "path" if self._bucket.endpoint else "auto", "payload_signing_enabled": True},
        )
        return session.client("s3", endpoint_url=self._bucket.endpoint, config=config)

    def _put(self, client: Any, path: str, content: bytes, cache: str) -> None:
        client.put_object(
            Bucket=self._bucket.name,
            Key=f"{self._prefix}/{path}" if self._prefix else path,
            Body=content,
            ContentType=_TYPES.get(PurePosixPath(path).suffix, "application/octet-stream"),
            CacheControl=cache,
        )


def _host(endpoint: str, allow_http: bool) -> str:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("publish.bucket.endpoint is no URL") from None
    if parts.scheme not in ("http", "https") or not host or any(ord(c) <= 32 for c in endpoint):
        raise ValueError("publish.bucket.endpoint must be https://host or https://host:port")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("publish.bucket.endpoint holds a user, a password or a query; keys go into the environment")
    if parts.scheme == "http" and host not in _LOOPBACK and not allow_http:
        raise ValueError(
            "publish.bucket.endpoint must be https; plain http within a network of one's own wants"
            " SWITCHYARD_ALLOW_PRIVATE_ADDRESSES=true"
        )
    return f"{host}:{port}" if port else host


def _said(response: Mapping[str, Any]) -> str:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = _SAID.get(str(response.get("Error", {}).get("Code", "")))
    return f"{known} (HTTP {status})" if known else f"HTTP {status}"
