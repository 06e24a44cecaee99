"""S3: the bucket in which the backups are.

aioboto3 and botocore are imported inside functions here, and nowhere else: commands that never ask S3 would wait for
them (0.12 s of a processor).
"""
