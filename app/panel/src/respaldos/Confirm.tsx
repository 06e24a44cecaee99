import type { Respaldo } from "../api/client";
import { useEliminar } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { bytes, count } from "../text/format";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { useToast } from "../ui/toast";
import { useTakeBack } from "./useTakeBack";

interface ConfirmDeleteProps {
  respaldo: Respaldo;
  onClose: () => void;
  onDeleted?: () => void;
}

/** Asks before deleting, naming what will go, and lets it be undone afterwards. */
export function ConfirmDelete({ respaldo, onClose, onDeleted }: ConfirmDeleteProps) {
  const { clock } = useClinic();
  const eliminar = useEliminar();
  const { takeBack } = useTakeBack();
  const toast = useToast();

  function remove() {
    eliminar.mutate(respaldo.id, {
      onSuccess: () => {
        onClose();
        onDeleted?.();
        toast({
          tone: "good",
          text: `Se eliminó el respaldo ${respaldo.id}. Durante unos días se puede recuperar, en la lista de los eliminados.`,
          action: { label: "Deshacer", act: () => takeBack(respaldo.id) },
        });
      },
    });
  }

  return (
    <Dialog title={`¿Eliminar el respaldo ${respaldo.id}?`} onClose={onClose}>
      <p>
        Es el del <strong>{clock.full(respaldo.fecha_respaldo)}</strong>
        {respaldo.descripcion === "" ? "" : ` («${respaldo.descripcion}»)`}
        {respaldo.estado === "completado"
          ? `, con ${count(respaldo.numero_registros, "registro", "registros")} y ${bytes(respaldo.tamaño_bytes)}.`
          : "."}
      </p>
      <p>
        Desaparece de la lista ahora, y su archivo se borra unos días después; después ya no podrá volver a ese momento.
        Sus datos de hoy no se tocan.
      </p>
      {eliminar.error === null ? null : (
        <Notice tone="bad" alert>
          {eliminar.error.message}
        </Notice>
      )}
      <div className="actions">
        <button type="button" className="button danger" aria-disabled={eliminar.isPending} onClick={remove}>
          Eliminar el respaldo
        </button>
        <button type="button" className="button" onClick={onClose} data-first="">
          No eliminar
        </button>
      </div>
    </Dialog>
  );
}
