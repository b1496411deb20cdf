"""Connections to buckets: which service, whose credentials, how long to wait for an answer."""

from __future__ import annotations

import os
import socket
import urllib.request
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlparse

import obstore.store

from raydistill.store.uri import BucketUri

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=0.2), timedelta(seconds=15)
"""Between tries: twice as long from try to try, and drawn at random below that."""

CONNECT, SILENCE, TRANSFER = timedelta(seconds=5), timedelta(seconds=60), timedelta(minutes=10)
"""A try fails if no connection stands after the first, if nothing arrives for the second, and if it
is not done after the third."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
METADATA, ROLE_SECONDS = "http://169.254.169.254", 2.0
"""Where a machine of AWS asks for its role, and how long that takes at most."""

OWN_CREDENTIALS = (
    "AWS_SKIP_SIGNATURE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that S3 clients read, those found first before the others."""


def open_client(uri: BucketUri, retries: int, retry_seconds: float) -> ObjectStore:
    """A client of a bucket; no request is made but those for an unknown region or role.

    Args:
        uri: the bucket, with options.
        retries: tries after the first, of a request without an answer or with a 5xx.
        retry_seconds: after the first try, in which others begin.

    Raises:
        ValueError: there are no credentials; the message says what to do.
    """
    retry: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=retry_seconds),
        "backoff": {"init_backoff": FIRST_WAIT, "max_backoff": LONGEST_WAIT, "base": 2},
    }
    limits: ClientConfig = {
        "connect_timeout": CONNECT,
        "read_timeout": SILENCE,
        "timeout": TRANSFER,
    }
    if uri.scheme == "s3":
        return _s3(uri, retry, limits)
    return obstore.store.from_url(uri.root, client_options=limits, retry_config=retry)


def _s3(uri: BucketUri, retry: RetryConfig, limits: ClientConfig) -> ObjectStore:
    given = uri.values
    config: S3Config = {}
    endpoint = given.get("endpoint_override") or _variable(ENDPOINTS)
    if endpoint:
        endpoint = endpoint if "://" in endpoint else f"{given.get('scheme', 'https')}://{endpoint}"
        config["endpoint"] = endpoint
        # An endpoint without TLS is named as such by whoever wants it.
        limits["allow_http"] = endpoint.startswith("http://")
    provider = _profile()
    if provider is None and not _variable(OWN_CREDENTIALS) and not _has_role():
        raise ValueError(
            "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give "
            "the machine a role, or a profile in ~/.aws"
        )
    region = given.get("region") or _variable(REGIONS)
    if region is None and provider is not None:
        region = provider.config.get("region")
    if region is None and not endpoint:
        region = _region_of(f"https://{uri.bucket}.s3.amazonaws.com")
    if region:
        config["region"] = region
    return obstore.store.S3Store(
        uri.bucket,
        config=config,
        client_options=limits,
        retry_config=retry,
        credential_provider=provider,
    )


def _variable(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _profile() -> Boto3CredentialProvider | None:
    """Credentials of a profile in ~/.aws, where the environment has none.

    Raises:
        ValueError: they are meant, and boto3, which reads them, is not installed.
    """
    files = [
        Path(os.environ.get(variable, f"~/.aws/{name}")).expanduser()
        for variable, name in (
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            ("AWS_CONFIG_FILE", "config"),
        )
    ]
    if _variable(OWN_CREDENTIALS) or not any(file.is_file() for file in files):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise ValueError(
            "the credentials in ~/.aws are read by boto3: pip install boto3, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    try:
        return Boto3CredentialProvider()
    except ValueError:
        return None  # the files hold settings alone


def _has_role() -> bool:
    """Whether the machine is one of AWS's, which give out the credentials of its role.

    Without this question whoever has forgotten credentials would wait until every try had failed.
    """
    address = urlparse(os.environ.get("AWS_METADATA_ENDPOINT", METADATA))
    try:
        with socket.create_connection((address.hostname, address.port or 80), timeout=ROLE_SECONDS):
            return True
    except OSError:
        return False


def _region_of(address: str) -> str | None:
    """The region of a bucket, which AWS tells whoever asks, allowed or not; None if it does not."""
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=CONNECT.total_seconds()) as answer:
            found: Message = answer.headers
    except HTTPError as refusal:
        found = refusal.headers
    except OSError:
        return None
    return found.get("x-amz-bucket-region")
