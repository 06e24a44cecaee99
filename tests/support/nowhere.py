"""Addresses at which nobody answers."""

NOWHERE = {
    "DATABASE_URL": "postgresql://nadie:nada@127.0.0.1:9/nada",
    "AWS_BACKUP_BUCKET_NAME": "nada",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "nadie",
    "AWS_SECRET_ACCESS_KEY": "nada",
}
