"""What a bucket's refusals mean to a person, and what to do about them; no secret, and no server's own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientError as ConnectionFailed
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

FAULTS: Final = (aws.BotoCoreError, aws.ClientError, ResponseParserError, ConnectionFailed, OSError, ValueError)
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


def fault(error: BaseException) -> Fault:  # noqa: PLR0911 - a table
    """What one of FAULTS means."""
    cause = error if not isinstance(error.__cause__, aws.ClientError) else error.__cause__
    match cause:
        case aws.ClientError():
            return _refusal(cause.response)
        case aws.NoCredentialsError() | aws.PartialCredentialsError() | aws.CredentialRetrievalError():
            return Fault("no credentials are known for it", _CREDENTIALS)
        case aws.ProfileNotFound() | aws.ConfigParseError() | aws.TokenRetrievalError():
            return Fault("the AWS profile cannot be used", "check AWS_PROFILE and its files")
        case aws.SSLError():
            return Fault("its certificate is not trusted", "check the endpoint, or name its authority by AWS_CA_BUNDLE")
        case ResponseParserError():
            return _STRANGER
        case aws.ParamValidationError() | aws.UnsupportedS3ArnError():
            return _CODES["InvalidBucketName"]
        case aws.HTTPClientError() | aws.ConnectionError() | ConnectionFailed() | ConnectionError() | TimeoutError():
            return _SILENT
        case OSError(strerror=str(words)):  # of a file of this machine
            return Fault(words)
        case ValueError():
            return Fault("the endpoint or the region cannot be", "check how they are spelt")
    return Fault(type(cause).__name__)


def code(error: BaseException) -> str:
    """What the server called it; empty if it is not the server who said so."""
    for candidate in (error, error.__cause__):
        if isinstance(candidate, aws.ClientError):
            return str(candidate.response.get("Error", {}).get("Code", ""))
    return ""


def was_retried(error: BaseException) -> bool:
    for candidate in (error, error.__cause__):
        if isinstance(candidate, aws.ClientError):
            return bool(candidate.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
    return False


def _refusal(response: Mapping[str, Any]) -> Fault:
    told = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    if "no space left" in str(response.get("Error", {}).get("Message", "")).lower():
        return _FULL
    return _CODES.get(told) or _CODES.get(str(status)) or Fault(f"the server says {told or status}")
