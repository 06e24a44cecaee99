"""Where the bucket is, and what it costs."""

from app.errors import SettingsError
from app.settings import CopyBucket, EmbeddedServer, Settings
from app.storage.options import LEAST, S3Options, StoragePrice


def s3_options(settings: Settings) -> S3Options:
    """The bucket of the settings."""
    secret = settings.aws_secret_access_key
    return S3Options(
        bucket=settings.aws_backup_bucket_name,
        region=settings.aws_s3_region_name,
        endpoint_url=settings.aws_endpoint_url_s3,
        public_endpoint_url=settings.aws_public_endpoint_url_s3,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=secret.get_secret_value() if secret is not None else None,
        storage_class=settings.s3_storage_class,
        sse=settings.s3_sse,
        sse_kms_key_id=settings.s3_sse_kms_key_id,
        checksums=settings.s3_checksums,
        folder=settings.respaldos_home if EmbeddedServer.S3 in settings.embedded_servers else None,
    )


def copy_options(copy: CopyBucket) -> S3Options:
    """The bucket of a second copy. Raises SettingsError where its key's file cannot be read."""
    secret = copy.secret_access_key.get_secret_value() if copy.secret_access_key is not None else None
    if copy.secret_access_key_file is not None:
        try:
            secret = copy.secret_access_key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "no es texto"
            raise SettingsError(
                f"COPY_BUCKETS: no se puede leer «{copy.secret_access_key_file}» de «{copy.name}»: {reason}"
            ) from exc
    return S3Options(
        bucket=copy.bucket,
        region=copy.region,
        endpoint_url=copy.endpoint_url,
        public_endpoint_url=copy.public_endpoint_url,
        access_key_id=copy.access_key_id,
        secret_access_key=secret,
        storage_class=copy.storage_class,
        sse=copy.sse,
        checksums=copy.checksums,
    )


def storage_price(settings: Settings) -> StoragePrice:
    """What the bucket costs; of the minimums of other stores than AWS nothing is known."""
    least = LEAST.get(settings.s3_storage_class, (0, 0)) if settings.aws_endpoint_url_s3 is None else (0, 0)
    return StoragePrice(settings.storage_price_gb_month, *least)
