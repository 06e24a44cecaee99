"""Making the bucket what a bucket of backups should be, and seeing that backups can then be stored in it."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from app.errors import StorageError, StorageUnavailable
from app.storage.errors import error_code, http_status, s3_errors
from app.storage.options import S3Options
from app.storage.s3 import S3Storage

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import LifecycleRuleTypeDef, PublicAccessBlockConfigurationTypeDef

T = TypeVar("T")

# `_ensure`, which is told by then whether it is to change anything.
_Ensure: TypeAlias = Callable[..., Awaitable["BucketSetting"]]

# The name of the setting that says whether everybody may.
ACL = "privado"

# The name of the line that says whether a backup can be stored.
TRIAL = "prueba"

# Of our own settings those that a store may not know, and what every store takes in their place.
_MILD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("S3_STORAGE_CLASS=STANDARD", {"storage_class": "STANDARD"}),
    ("S3_SSE=none", {"sse": "none", "sse_kms_key_id": None}),
    ("S3_CHECKSUMS=none", {"checksums": "none"}),
)

# Of the keys of all backups.
PREFIX = "backups/"

# Of the keys of exports, and how long the bucket itself lets one be: longer than any EXPORT_HOURS.
EXPORTS = "exportaciones/"
EXPORT_DAYS = 8

_RULE_PREFIX = "respaldos-"
_PUBLIC_GRANTEES = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
# Part of the lifecycle that goes back to its default unless it is written again with the rules.
_MINIMUM_SIZE = "TransitionDefaultMinimumObjectSize"
# How S3 says that a setting has never been made.
_UNSET = {
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
    "ObjectLockConfigurationNotFoundError",
}
# A store that does not know a setting's subresource takes the request for the creation of the bucket; and some
# stores, as AWS once did, lock objects only in buckets that were created for it.
_UNSUPPORTED = {
    "NotImplemented",
    "XNotImplemented",
    "MethodNotAllowed",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "InvalidBucketState",
}


class Outcome(StrEnum):
    """What became of one setting of the bucket; WRONG and UNSEEN where it was only looked at.

    UNDONE: with it no backup could be stored, so it is as it was before. REFUSED: the store knows it and does not
    take ours; of the trial, that no backup can be stored.
    """

    CHANGED = "changed"
    ALREADY = "already"
    WRONG = "wrong"
    UNSEEN = "unseen"
    UNSUPPORTED = "unsupported"
    UNDONE = "undone"
    REFUSED = "refused"
    WORKS = "works"


@dataclass(frozen=True, slots=True)
class BucketSetting:
    """One line of the answer to a person: `name` and `detail` are Spanish."""

    name: str
    outcome: Outcome
    detail: str


async def configure_bucket(
    storage: S3Storage,
    *,
    lock_days: int | None = None,
    noncurrent_days: int = 30,
    abort_days: int = 2,
    prefix: str = PREFIX,
    look: bool = False,
) -> tuple[BucketSetting, ...]:
    """Create the bucket where it is missing, make it private, encrypted, versioned and tidy, and try it.

    Calling it again changes nothing. Lifecycle rules hold for keys under `prefix` and leave other people's
    rules alone: unfinished uploads are aborted after `abort_days`, versions that are no longer current are
    deleted after `noncurrent_days`, where no lock protects them. What is left of exports goes after EXPORT_DAYS, and
    a day after it was deleted. With `lock_days`, every new version is
    protected that long from deletion (GOVERNANCE, or COMPLIANCE where the bucket has it); None leaves the lock
    as it is. Encryption by KMS stays where AES256 is asked for.

    First an object is stored, read and deleted as a backup is, in one piece and in parts; where the store does not
    take it, the line TRIAL names the setting of ours to change, and the rest is done with what the store does take.
    After each change an object is stored again; a change after which that is refused is undone.

    With `look`, nothing is changed and nothing stored. Raises StorageError and its kinds; then the settings that come
    before the failed one have been made.
    """
    client, bucket = storage.client, storage.options.bucket
    with s3_errors(bucket):
        existing = await _create(client, bucket, storage.options.region, lock=lock_days is not None, look=look)
        if existing.outcome is Outcome.WRONG:
            return (existing,)
    tried: list[BucketSetting] = []
    trial = None
    if not look:
        said, options = await _try(storage, prefix)
        tried.append(said)
        if options is not None:
            storage = storage.with_options(options)
            trial = partial(_store_one, storage, prefix)
    options = storage.options
    ensure = partial(_ensure, look=look, trial=trial)
    with s3_errors(bucket):
        return (
            existing,
            *tried,
            await _block_public_access(client, bucket, ensure),
            await _make_acl_private(client, bucket, ensure),
            await _encrypt(client, bucket, options.sse, options.sse_kms_key_id, ensure),
            await _keep_versions(client, bucket, ensure),
            await _expire(client, bucket, prefix, ensure, noncurrent_days=noncurrent_days, abort_days=abort_days),
            *([] if lock_days is None else [await _lock(client, bucket, lock_days, ensure)]),
        )


async def _store_one(storage: S3Storage, prefix: str, *, in_parts: bool = False) -> None:
    key = f"{prefix}revision/{uuid.uuid4().hex}"
    await storage.probe(key, in_parts=in_parts)
    # A locked bucket keeps it for as long, and a store without versions has none.
    with suppress(StorageError):
        await storage.erase(key)


async def _try(storage: S3Storage, prefix: str) -> tuple[BucketSetting, S3Options | None]:
    """Store as a backup is: the line to say, and the options with which the store takes it, if any."""

    async def refusal(options: S3Options) -> StorageError | None:
        try:
            for in_parts in (False, True):
                await _store_one(storage.with_options(options), prefix, in_parts=in_parts)
        except StorageUnavailable:
            raise
        except StorageError as exc:
            return exc
        return None

    error = await refusal(storage.options)
    if error is None:
        said = "un objeto como el de un respaldo se guarda, se lee y se borra"
        return BucketSetting(TRIAL, Outcome.WORKS, said), storage.options
    asked = [(setting, mild) for setting, mild in _MILD if replace(storage.options, **mild) != storage.options]
    for number in range(1, len(asked) + 1):
        for changes in combinations(asked, number):
            options = storage.options
            for _, mild in changes:
                options = replace(options, **mild)
            if await refusal(options) is None:
                named = " y ".join(setting for setting, _ in changes)
                said = f"este almacén no toma así los respaldos; ponga {named}, con lo que los toma ({error})"
                return BucketSetting(TRIAL, Outcome.REFUSED, said), options
    return BucketSetting(TRIAL, Outcome.REFUSED, f"no se puede guardar ningún respaldo: {error}"), None


async def _create(client: "S3Client", bucket: str, region: str, *, lock: bool, look: bool) -> BucketSetting:
    from botocore.exceptions import ClientError

    try:
        await client.head_bucket(Bucket=bucket)
    except ClientError as exc:
        if http_status(exc) != 404:
            raise
    else:
        return BucketSetting("bucket", Outcome.ALREADY, f"«{bucket}» existe")
    if look:
        return BucketSetting("bucket", Outcome.WRONG, f"«{bucket}» no existe")
    more: dict[str, Any] = {}
    if region != "us-east-1":
        more["CreateBucketConfiguration"] = {"LocationConstraint": region}
    if lock:
        more["ObjectLockEnabledForBucket"] = True
    try:
        await client.create_bucket(Bucket=bucket, **more)
    except ClientError as exc:
        if error_code(exc) != "BucketAlreadyOwnedByYou":
            raise
    return BucketSetting("bucket", Outcome.CHANGED, f"se creó «{bucket}» en {region}")


async def _ensure(
    name: str,
    detail: str,
    read: Callable[[], Awaitable[T]],
    is_right: Callable[[T | None], bool],
    write: Callable[[T | None], Awaitable[object]],
    undo: Callable[[T | None], Awaitable[object]] | None = None,
    *,
    look: bool,
    trial: Callable[[], Awaitable[None]] | None,
) -> BucketSetting:
    """Read a setting (None where it was never made), and write it where it is not right and not just looked at.

    `undo`, given what was read, makes it as it was, where `trial` fails with it; without one it is not tried.
    """
    from botocore.exceptions import ClientError

    try:
        try:
            found: T | None = await read()
        except ClientError as exc:
            if error_code(exc) not in _UNSET:
                raise
            found = None
        if is_right(found):
            return BucketSetting(name, Outcome.ALREADY, detail)
        if look:
            return BucketSetting(name, Outcome.WRONG, f"no está así: {detail}")
        await write(found)
    except ClientError as exc:
        if look and http_status(exc) == 403:
            # The service itself does without the rights to look at settings.
            return BucketSetting(name, Outcome.UNSEEN, f"no se pudo mirar ({error_code(exc)})")
        if http_status(exc) in {405, 501} or error_code(exc) in _UNSUPPORTED:
            return BucketSetting(name, Outcome.UNSUPPORTED, f"este almacén no lo admite ({error_code(exc)})")
        if http_status(exc) in {400, 409}:
            return BucketSetting(name, Outcome.REFUSED, f"este almacén no lo acepta ({error_code(exc)}): {detail}")
        raise
    if trial is not None and undo is not None:
        try:
            await trial()
        except StorageUnavailable:
            raise
        except StorageError as exc:
            await undo(found)
            await trial()
            said = f"se dejó como estaba, porque con este ajuste el almacén no guarda respaldos ({exc})"
            return BucketSetting(name, Outcome.UNDONE, said)
    return BucketSetting(name, Outcome.CHANGED, detail)


async def _block_public_access(client: "S3Client", bucket: str, ensure: _Ensure) -> BucketSetting:
    blocked: PublicAccessBlockConfigurationTypeDef = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }

    async def read() -> Mapping[str, Any]:
        return (await client.get_public_access_block(Bucket=bucket))["PublicAccessBlockConfiguration"]

    return await ensure(
        "acceso público",
        "todo acceso público está bloqueado",
        read,
        lambda found: found is not None and all(found.get(name) for name in blocked),
        lambda _: client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked),
        lambda found: (
            client.delete_public_access_block(Bucket=bucket)
            if found is None
            else client.put_public_access_block(
                Bucket=bucket,
                PublicAccessBlockConfiguration=cast("PublicAccessBlockConfigurationTypeDef", found),
            )
        ),
    )


async def _make_acl_private(client: "S3Client", bucket: str, ensure: _Ensure) -> BucketSetting:
    async def read() -> list[str]:
        answer = await client.get_bucket_acl(Bucket=bucket)
        return [grant.get("Grantee", {}).get("URI", "") for grant in answer.get("Grants", ())]

    return await ensure(
        ACL,
        "ningún permiso (ACL) es de todos",
        read,
        lambda found: not any(grantee in _PUBLIC_GRANTEES for grantee in found or ()),
        lambda _: client.put_bucket_acl(Bucket=bucket, ACL="private"),
    )


async def _encrypt(
    client: "S3Client", bucket: str, sse: Literal["AES256", "aws:kms", "none"], kms_key: str | None, ensure: _Ensure
) -> BucketSetting:
    if sse == "none":
        return BucketSetting("cifrado", Outcome.UNSUPPORTED, "S3_SSE=none: no se pide cifrado a este almacén")
    wanted: Any = {"SSEAlgorithm": sse}
    if kms_key is not None:
        wanted["KMSMasterKeyID"] = kms_key

    async def read() -> Mapping[str, Any]:
        answer = await client.get_bucket_encryption(Bucket=bucket)
        rules = answer["ServerSideEncryptionConfiguration"].get("Rules", ())
        return next((dict(rule.get("ApplyServerSideEncryptionByDefault", {})) for rule in rules), {})

    def is_right(found: Mapping[str, Any] | None) -> bool:
        if found is None:
            return False
        if sse == "AES256" and str(found.get("SSEAlgorithm")).startswith("aws:kms"):
            return True
        return all(found.get(name) == value for name, value in wanted.items())

    return await ensure(
        "cifrado",
        f"lo que llega se cifra ({sse})",
        read,
        is_right,
        lambda _: client.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": wanted}]},
        ),
        lambda found: (
            client.delete_bucket_encryption(Bucket=bucket)
            if not found
            else client.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": cast(Any, found)}]
                },
            )
        ),
    )


async def _keep_versions(client: "S3Client", bucket: str, ensure: _Ensure) -> BucketSetting:
    async def read() -> str | None:
        return (await client.get_bucket_versioning(Bucket=bucket)).get("Status")

    return await ensure(
        "versiones",
        "lo que se borra o se pisa queda como versión anterior",
        read,
        lambda found: found == "Enabled",
        lambda _: client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
        # What has had versions can only have them suspended.
        lambda _: client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
    )


async def _expire(
    client: "S3Client", bucket: str, prefix: str, ensure: _Ensure, *, noncurrent_days: int, abort_days: int
) -> BucketSetting:
    wanted: list[LifecycleRuleTypeDef] = [
        {
            "ID": f"{_RULE_PREFIX}subidas-incompletas",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": abort_days},
        },
        {
            "ID": f"{_RULE_PREFIX}versiones-anteriores",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "NoncurrentVersionExpiration": {"NoncurrentDays": noncurrent_days},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {
            "ID": f"{_RULE_PREFIX}exportaciones",
            "Status": "Enabled",
            "Filter": {"Prefix": EXPORTS},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": abort_days},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            "Expiration": {"Days": EXPORT_DAYS},
        },
    ]

    async def read() -> Mapping[str, Any]:
        return await client.get_bucket_lifecycle_configuration(Bucket=bucket)

    def is_right(found: Mapping[str, Any] | None) -> bool:
        ours = [rule for rule in _rules(found) if _is_ours(rule)]
        return sorted(map(_terms, ours)) == sorted(map(_terms, wanted))

    async def write(found: Mapping[str, Any] | None) -> None:
        theirs = [rule for rule in _rules(found) if not _is_ours(rule)]
        kept = {} if found is None else {name: found[name] for name in (_MINIMUM_SIZE,) if name in found}
        await client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [*theirs, *wanted]}, **kept
        )

    return await ensure(
        "ciclo de vida",
        f"bajo «{prefix}», las subidas incompletas se anulan a los {abort_days} días y las versiones anteriores "
        f"se borran a los {noncurrent_days}; bajo «{EXPORTS}», todo a los {EXPORT_DAYS}",
        read,
        is_right,
        write,
    )


def _rules(found: Mapping[str, Any] | None) -> list[Any]:
    return [] if found is None else list(found.get("Rules", ()))


def _is_ours(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("ID", "")).startswith(_RULE_PREFIX)


def _terms(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """What a rule says, without what a store adds or leaves out when it gives it back."""
    return tuple(
        str(term)
        for term in (
            rule.get("ID"),
            rule.get("Status"),
            rule.get("Filter", {}).get("Prefix", rule.get("Prefix")),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
            rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            rule.get("Expiration", {}).get("ExpiredObjectDeleteMarker"),
            rule.get("Expiration", {}).get("Days"),
        )
    )


async def _lock(client: "S3Client", bucket: str, days: int, ensure: _Ensure) -> BucketSetting:
    async def read() -> Mapping[str, Any]:
        answer = await client.get_object_lock_configuration(Bucket=bucket)
        return answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})

    def is_right(found: Mapping[str, Any] | None) -> bool:
        if not found:
            return False
        found_days = found.get("Days") or found.get("Years", 0) * 365
        return found_days == days or (found.get("Mode") == "COMPLIANCE" and found_days > days)

    return await ensure(
        "bloqueo",
        f"cada versión queda protegida {days} días (el ciclo de vida no borra lo que está protegido)",
        read,
        is_right,
        lambda found: client.put_object_lock_configuration(
            Bucket=bucket,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                # A stricter mode that somebody chose is not ours to weaken.
                "Rule": {"DefaultRetention": {"Mode": (found or {}).get("Mode", "GOVERNANCE"), "Days": days}},
            },
        ),
        # Not tried: what is stored for it could not be deleted.
    )
