"""The one tree of errors that this service raises on purpose.

Each class carries the HTTP status it is answered with, a stable `code` that is stored with a failed row
(`metadata.error_type`), whether the same call may succeed a little later (`transient`), and whether its message may
hold what is in a clinic's rows (`tells_rows`), which no log is to have. The message is Spanish, names the thing that
is wrong, and is shown to people as it stands.
"""

from collections.abc import Sequence
from typing import ClassVar


class RespaldosError(Exception):
    """Root of the tree. `str(error)` is the sentence for people."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error_interno"
    transient: ClassVar[bool] = False
    tells_rows: ClassVar[bool] = False

    @property
    def for_log(self) -> str:
        """What a log may have of it: the message, or else the code alone; the failed row has all of it."""
        return self.code if self.tells_rows or type(self) is RespaldosError else f"{self} ({self.code})"


# What the person asked for, or how the service was set up


class SettingsError(RespaldosError):
    """A setting is missing or malformed; the message is one line that names it and never shows a secret."""

    code = "configuracion_invalida"


class EmbeddedServerError(RespaldosError):
    """An embedded server does not start, or died for good; the message names it and its log."""

    status = 503
    code = "servidor_embebido"


class ClinicNotFound(RespaldosError):
    """The clinics table has no such clinic."""

    status = 404
    code = "clinica_inexistente"


class RespaldoNotFound(RespaldosError):
    """No such backup, or it is another clinic's."""

    status = 404
    code = "respaldo_inexistente"


class KeyNotFound(RespaldosError):
    """No such key for programs, or it is another clinic's."""

    status = 404
    code = "clave_inexistente"


class RecordNotFound(RespaldosError):
    """Neither today nor a backup has such a record of this clinic."""

    status = 404
    code = "registro_inexistente"


class OperationInProgress(RespaldosError):
    """The clinic already has a backup or a restore under way; `respaldo_id` says which, where it is known."""

    status = 409
    code = "operacion_en_curso"

    def __init__(self, message: str, respaldo_id: int | None = None) -> None:
        super().__init__(message)
        self.respaldo_id = respaldo_id


class TooManyReadings(RespaldosError):
    """As many verifications, comparisons and previews of the clinic wait as may."""

    status = 409
    code = "demasiadas_lecturas"


class NotInProgress(RespaldosError):
    """Only a pending or running backup or export can be cancelled."""

    status = 409
    code = "respaldo_no_en_curso"


class Cancelled(RespaldosError):
    """A person asked for the backup or the export to be stopped."""

    status = 409
    code = "cancelado"


class LastGoodBackup(RespaldosError):
    """The clinic's only good backup is not deleted, by whoever asks."""

    status = 409
    code = "ultimo_respaldo_bueno"


class ProtectedBackup(RespaldosError):
    """A clinic's newest good backup from before the last week is deleted by nobody but the platform."""

    status = 409
    code = "respaldo_protegido"


class BackupHeld(RespaldosError):
    """What somebody has held is not deleted before it is released."""

    status = 409
    code = "respaldo_retenido"


class HoldOver(RespaldosError):
    """A hold that ends before it begins holds nothing."""

    status = 409
    code = "retencion_pasada"


class PreviewRequired(RespaldosError):
    """Less of a clinic's backups is kept only by who has seen what goes, as it is now."""

    status = 409
    code = "vista_previa_requerida"


class NotHeld(RespaldosError):
    """Only a held backup can be released."""

    status = 409
    code = "respaldo_no_retenido"


class NotDeleted(RespaldosError):
    """Only a deleted backup can be taken back."""

    status = 409
    code = "respaldo_no_eliminado"


class AlreadyPurged(RespaldosError):
    """The deleted backup's file is gone from S3, so it cannot be taken back."""

    status = 410
    code = "respaldo_purgado"


class LinkEnded(RespaldosError):
    """The link to an export has been used, has ended, or never was one: of which, nobody is told."""

    status = 404
    code = "enlace_terminado"


class ExportEnded(RespaldosError):
    """The export's time is over, and its file is gone."""

    status = 410
    code = "exportacion_terminada"


class NotSuspicious(RespaldosError):
    """Only a suspicious backup can be accepted."""

    status = 409
    code = "respaldo_no_sospechoso"


class NotCompleted(RespaldosError):
    """Only what is `completado` can be downloaded, verified or restored; `estado` is what it is instead."""

    status = 409
    code = "respaldo_no_completado"

    def __init__(self, message: str, estado: str | None = None) -> None:
        super().__init__(message)
        self.estado = estado


class Interrupted(RespaldosError):
    """A person or the system stopped the process while it worked."""

    status = 503
    code = "interrumpido"
    transient = True


class ProcessDied(RespaldosError):
    """The process that had claimed a job sent no heartbeat until its lease ran out."""

    status = 503
    code = "proceso_muerto"
    transient = True


class LeaseLost(RespaldosError):
    """Another process took the job over, because this one sent no heartbeat in time."""

    status = 503
    code = "arriendo_perdido"


class Stalled(RespaldosError):
    """No byte has moved for too long, so the work was given up."""

    status = 503
    code = "sin_avance"
    transient = True


class LocalFileError(RespaldosError):
    """A file of this machine cannot be read or written."""

    code = "archivo_local"


class MissingLibrary(RespaldosError):
    """Something optional that this needs is not installed; the message says how to install it."""

    status = 501
    code = "biblioteca_faltante"


class ExportError(RespaldosError):
    """The format that was asked for cannot hold what the backup holds; the message says which and why."""

    status = 422
    code = "exportacion_imposible"


class InvalidRequest(RespaldosError):
    """What a program sent is not what the route takes; the message names the field."""

    status = 422
    code = "solicitud_invalida"


# Restoring


class RestoreRefused(RespaldosError):
    """What the backup says cannot be put back as things are today; nothing was changed. The message names what."""

    status = 409
    code = "restauracion_rechazada"
    tells_rows = True


class SchemaDiffers(RestoreRefused):
    """The tables of today are not those of the backup. That says nothing of the backup itself."""

    code = "esquema_distinto"
    tells_rows = False


class RestoreDiffers(RespaldosError):
    """The restored rows were not those of the backup, so all of it was taken back. The message names the row."""

    status = 409
    code = "restauracion_distinta"
    tells_rows = True


class RestoreInterrupted(RespaldosError):
    """The restore was stopped, died, or lost its connection or its safety backup, and nothing was changed."""

    status = 503
    code = "restauracion_interrumpida"


class RestoreUncertain(RespaldosError):
    """The same at the very end, and PostgreSQL does not know any more whether the change was committed."""

    status = 503
    code = "restauracion_dudosa"


# Who may


class TokenRefused(RespaldosError):
    """There is no token, or it proves nothing: expired, forged, another issuer's, without its claims."""

    status = 401
    code = "token_invalido"


class KeysUnavailable(RespaldosError):
    """The address that tells the keys of another issuer's tokens does not answer."""

    status = 503
    code = "claves_no_disponibles"
    transient = True


class LoginRefused(RespaldosError):
    """E-mail and password do not belong together, or to nobody who may come in.

    `clinics` are those that know the e-mail: for their audit trail, not for whoever asks.
    """

    status = 401
    code = "credenciales_incorrectas"

    def __init__(self, message: str, clinics: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.clinics = clinics


class LoginUnavailable(RespaldosError):
    """This service has no secret to sign tokens with."""

    status = 501
    code = "ingreso_no_configurado"


class TooManyAttempts(RespaldosError):
    """Too many failed logins; the next is looked at after `retry_after` seconds."""

    status = 429
    code = "demasiados_intentos"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PasswordRefused(RespaldosError):
    """Somebody who is in has not given their password when it was asked for again."""

    status = 403
    code = "clave_incorrecta"


class ConfirmationRequired(RespaldosError):
    """It is too long ago that the person gave their password for what they ask for."""

    status = 403
    code = "confirmacion_requerida"


class NotAllowed(RespaldosError):
    """The person is known, and may not do this."""

    status = 403
    code = "sin_permiso"


# Telling people


class NotifyError(RespaldosError):
    """The mail server or the webhook did not take a message."""

    status = 502
    code = "aviso_no_enviado"
    transient = True


# The databases


class DatabaseError(RespaldosError):
    """PostgreSQL refused or failed; the message carries its own words."""

    code = "base_de_datos"
    tells_rows = True


class DatabaseUnavailable(DatabaseError):
    """The database cannot be reached, or the connection was lost in mid-work."""

    status = 503
    code = "base_de_datos_no_disponible"
    tells_rows = False
    transient = True


class DatabaseNotMigrated(DatabaseError):
    """Schema `respaldos` is missing or older than this program."""

    status = 503
    code = "base_de_datos_sin_migrar"
    tells_rows = False


class PermissionMissing(DatabaseError):
    """The database role may not do something that a backup or a restore needs."""

    code = "permiso_insuficiente"
    tells_rows = False


class RowSecurityActive(DatabaseError):
    """A row-level security policy would hide rows from the backup."""

    code = "seguridad_por_filas"
    tells_rows = False


class SchemaChanged(DatabaseError):
    """A table or column went away between the reading of the catalogue and the dump."""

    code = "esquema_cambiado"
    tells_rows = False
    transient = True


class CatalogError(DatabaseError):
    """The clinic schema does not fit: no tenant table, a colliding name, a rule that is wrong."""

    code = "catalogo_invalido"
    tells_rows = False


# Redis


class QueueUnavailable(RespaldosError):
    """Redis cannot be reached, or no setting says where it is."""

    status = 503
    code = "redis_no_disponible"
    transient = True


# The file


class FormatError(RespaldosError):
    """The file is not a whole, unchanged backup; the message says what is wrong and where."""

    status = 422
    code = "archivo_invalido"
    tells_rows = True


# Keys that backups are encrypted with


class EncryptionError(RespaldosError):
    """A key that is needed cannot be had. That says nothing of the file, and nothing is written in plain for it."""

    status = 503
    code = "cifrado"


class MasterKeyMissing(EncryptionError):
    """This process has not got the master key."""

    code = "clave_maestra_faltante"


class ClinicKeyMissing(EncryptionError):
    """Neither the database nor the bucket has the clinic's key."""

    code = "clave_faltante"


class KeyRefused(EncryptionError):
    """The clinic's key, as it is kept, does not come out of its envelope: another master key, or damage."""

    code = "clave_invalida"


class KeyDestroyed(EncryptionError):
    """The clinic's key was destroyed, as people wanted: nobody can read the backup any more."""

    status = 410
    code = "clave_destruida"


class KmsUnavailable(EncryptionError):
    """KMS cannot be reached, or has too much to do."""

    code = "kms_no_disponible"
    transient = True


class KmsRefused(EncryptionError):
    """KMS does not let these credentials use the key, or has no such."""

    code = "kms_rechazo"


class DestructionRefused(RespaldosError):
    """A clinic's key is not destroyed: another name was typed, nobody else has asked for it, or there is none."""

    status = 409
    code = "destruccion_rechazada"


# S3


class StorageError(RespaldosError):
    """S3 refused or failed; the message names bucket and key."""

    status = 502
    code = "almacenamiento"


class StorageUnavailable(StorageError):
    """S3 cannot be reached, answers 5xx, or cut the connection."""

    status = 503
    code = "almacenamiento_no_disponible"
    transient = True


class BucketNotFound(StorageError):
    """The bucket of `AWS_BACKUP_BUCKET_NAME` does not exist."""

    code = "bucket_inexistente"


class StorageCredentialsRefused(StorageError):
    """S3 does not accept the credentials, or they may not do this."""

    code = "credenciales_rechazadas"


class ObjectNotFound(StorageError):
    """The object is not in the bucket."""

    status = 404
    code = "objeto_inexistente"


class ObjectMismatch(StorageError):
    """What was read back from S3 is not what was sent."""

    code = "objeto_distinto"
    transient = True


class StorageFull(StorageError):
    """The store has no room left."""

    status = 507
    code = "almacenamiento_lleno"
