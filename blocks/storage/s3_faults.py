"""What a bucket's refusals mean to a person, and what to do about them; no secret, and no server's own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientError as ConnectionFailed
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

FAULTS: Final = (
    aws.BotoCoreError,
    aws.ClientError,
    ResponseParserError,
    ConnectionFailed,
    OSError,
    ValueError,
    # aiobotocore looks for the region of a bucket without end where a server redirects and does not tell it.
    RecursionError,
)
"""All that a request raises; s3fs makes OSErrors of many, with what the server said as their cause."""


@dataclass(frozen=True, slots=True)
class Fault:
    reason: str
    remedy: str = ""
    """Empty where nothing is wrong with what was asked: the store has to get well."""


_CREDENTIALS: Final = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the block of type Speech storage"
)
_ALLOW: Final = "allow them to list, read, write and delete there, or use others"
_REGION: Final = Fault("the bucket is in another region", "set AWS_REGION, or the region of its storage block")
_STRANGER: Final = Fault("what answers there speaks no S3", "check the endpoint")
_SILENT: Final = Fault("the server does not answer")
_FULL: Final = Fault("the server has no room left")
_EXPIRED: Final = Fault("the credentials have expired", "get new ones")
_DENIED: Final = Fault("these credentials may not do that", _ALLOW)

_CODES: Final[Mapping[str, Fault]] = {
    "NoSuchBucket": Fault("there is no such bucket", "make it first, or check how it is spelt"),
    "InvalidBucketName": Fault("no bucket can have this name", "check how it is spelt"),
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": Fault("the server does not know the key id", _CREDENTIALS),
    "SignatureDoesNotMatch": Fault("the secret does not belong to the key id", _CREDENTIALS),
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": Fault("this machine's clock is wrong", "set it"),
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "404": _STRANGER,
    "405": _STRANGER,
    "KeyTooLongError": Fault("the name is too long", "choose shorter names"),
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "XMinioStorageFull": _FULL,
    "507": _FULL,
}


_KINDS: Final = (
    ((aws.NoCredentialsError, aws.PartialCredentialsError), Fault("no credentials are known for it", _CREDENTIALS)),
    ((aws.CredentialRetrievalError, aws.TokenRetrievalError), Fault("its credentials cannot be had", _CREDENTIALS)),
    ((aws.ProfileNotFound, aws.ConfigParseError), Fault("there is no such AWS profile", "check AWS_PROFILE")),
    ((aws.SSLError,), Fault("its certificate is not trusted", "check the endpoint, or set AWS_CA_BUNDLE")),
    ((aws.ParamValidationError,), _CODES["InvalidBucketName"]),
    ((ResponseParserError,), _STRANGER),
    ((RecursionError,), _REGION),
    ((aws.HTTPClientError, aws.ConnectionError, ConnectionFailed, ConnectionError, TimeoutError), _SILENT),
    ((ValueError,), Fault("the endpoint or the region cannot be", "check how they are spelt")),
)
"""Of what is raised on this side; the first that fits."""


def fault(error: BaseException) -> Fault:
    """What one of FAULTS means."""
    if isinstance(told := error.__cause__ or error, aws.ClientError):
        return _refusal(told.response)
    known = next((meaning for kinds, meaning in _KINDS if isinstance(error, kinds)), None)
    return known or Fault(getattr(error, "strerror", None) or type(error).__name__)


def code(error: BaseException) -> str:
    """What the server called it; empty if it is not the server who said so."""
    for candidate in (error, error.__cause__):
        if isinstance(candidate, aws.ClientError):
            return str(candidate.response.get("Error", {}).get("Code", ""))
    return ""


def _refusal(response: Mapping[str, Any]) -> Fault:
    told = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    if "no space left" in str(response.get("Error", {}).get("Message", "")).lower():
        return _FULL
    return _CODES.get(told) or _CODES.get(str(status)) or Fault(f"the server says {told or status}")
