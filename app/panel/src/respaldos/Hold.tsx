import { useState } from "react";

import type { Respaldo } from "../api/client";
import { useLiberar, useRetener } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { useToast } from "../ui/toast";

/** Asks why a backup is to be kept, and until when. */
export function HoldDialog({ id, onClose }: { id: number; onClose: () => void }) {
  const [motivo, setMotivo] = useState("");
  const [hasta, setHasta] = useState("");
  const retener = useRetener();
  const ready = motivo.trim() !== "" && !retener.isPending;

  return (
    <Dialog title={`Retener el respaldo ${id}`} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) {
            retener.mutate({ id, motivo, hasta: hasta === "" ? null : hasta }, { onSuccess: onClose });
          }
        }}
      >
        <p>Mientras esté retenido nadie lo elimina: ni una persona, ni la limpieza de cada noche.</p>
        <label className="field">
          <span>Por qué se conserva</span>
          <input
            value={motivo}
            maxLength={500}
            required
            onChange={(event) => setMotivo(event.target.value)}
            data-first=""
          />
        </label>
        <label className="field">
          <span>
            Hasta qué día <span className="muted">(si quiere; si no, hasta que alguien lo libere)</span>
          </span>
          <input type="date" value={hasta} onChange={(event) => setHasta(event.target.value)} />
        </label>
        {retener.error === null ? null : (
          <Notice tone="bad" alert>
            {retener.error.message}
          </Notice>
        )}
        <div className="actions">
          <button type="submit" className="button primary" aria-disabled={!ready}>
            Retener
          </button>
          <button type="button" className="button" onClick={onClose}>
            Cerrar
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** That a backup is held, why, and the way to release it. */
export function Held({ respaldo: { id, retenido } }: { respaldo: Respaldo }) {
  const { clinica, clock } = useClinic();
  const liberar = useLiberar();
  const toast = useToast();
  if (retenido === null) {
    return null;
  }
  return (
    <Notice tone="plain">
      <p>
        <strong>Está retenido{retenido.hasta === null ? "" : ` hasta el ${clock.full(retenido.hasta)}`}:</strong>{" "}
        {retenido.motivo}. Nadie lo elimina mientras tanto.
        {retenido.usuario === null ? "" : ` Lo retuvo ${retenido.usuario}, el ${clock.full(retenido.desde)}.`}
      </p>
      {clinica.puede_administrar ? (
        <button
          type="button"
          className="button"
          onClick={() =>
            liberar.mutate(id, {
              onSuccess: () => toast({ tone: "good", text: "Se liberó: ahora se conserva lo que los demás." }),
              onError: (error) => toast({ tone: "bad", text: error.message }),
            })
          }
        >
          Liberarlo
        </button>
      ) : null}
    </Notice>
  );
}
