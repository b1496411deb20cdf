"""URIs of folders in buckets, taken apart: bucket, path, options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote

OPTIONS = ("endpoint_override", "region", "scheme")
"""Options of an s3:// URI, as pyarrow knows them, by which Ray opens the same folder."""

OTHER_SCHEMES = ("gs", "az", "abfs", "abfss")
"""Of services that take their settings from the environment alone."""

PLAIN = "/=,:@+~!$&'()*"
"""Characters of a name that stand as they are in a URI's path, beside letters and digits."""


@dataclass(frozen=True)
class BucketUri:
    """A folder in a bucket, such as s3://bucket/path?region=eu-west-1.

    Attributes:
        scheme: s3, gs, az, abfs or abfss.
        bucket: what stands between the scheme and the path.
        path: names joined by slashes, without one at either end, as they are called (not escaped).
        options: what follows the question mark, as it was given; empty if there is none.
    """

    scheme: str
    bucket: str
    path: str
    options: str

    @classmethod
    def parse(cls, text: str) -> BucketUri:
        """Take a URI apart."""
        scheme, _, rest = text.partition("://")
        place, _, options = rest.partition("?")
        bucket, _, path = place.partition("/")
        return cls(scheme, bucket, unquote(path).strip("/"), options)

    def check(self) -> None:
        """See that it can be understood; nothing is asked of the service.

        Raises:
            ValueError: it cannot; the message says why.
        """
        if self.scheme != "s3" and self.scheme not in OTHER_SCHEMES:
            raise ValueError(f"the scheme {self.scheme}:// is unknown")
        if not self.bucket:
            raise ValueError("it names no bucket")
        known = OPTIONS if self.scheme == "s3" else ()
        unknown = [name for name in self.values if name not in known]
        if unknown:
            there_are = f"there are {', '.join(known)}" if known else "a URI of this kind has none"
            raise ValueError(f"the option {unknown[0]} is unknown; {there_are}")
        if self.scheme == "s3" and "@" in self.bucket:
            raise ValueError(
                "a URI is printed and recorded, no place for a key; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )

    def __str__(self) -> str:
        path = f"/{quote(self.path, safe=PLAIN)}" if self.path else ""
        return f"{self.root}{path}{self.query}"

    @property
    def root(self) -> str:
        """The bucket, without path and options."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def query(self) -> str:
        """The options with their question mark; empty if there are none."""
        return f"?{self.options}" if self.options else ""

    @property
    def values(self) -> dict[str, str]:
        """The options by name."""
        return dict(parse_qsl(self.options, keep_blank_values=True))

    @property
    def whole(self) -> BucketUri:
        """The bucket itself, with the options."""
        return replace(self, path="")

    @property
    def parent(self) -> BucketUri | None:
        """The folder that this one is in; None for the bucket itself."""
        return replace(self, path=self.path.rpartition("/")[0]) if self.path else None

    @property
    def name(self) -> str:
        """The last name of the path; the bucket's where there is no path."""
        return self.path.rpartition("/")[2] or self.bucket

    def child(self, *names: str) -> BucketUri:
        """A folder or file inside this one."""
        return replace(self, path="/".join(part for part in (self.path, *names) if part))
