import { useState } from "react";
import { useLocation } from "wouter";

import type { Profundidad } from "../api/client";
import { useVerificar } from "../api/queries";
import { PROFUNDIDAD } from "../text/words";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { useToast } from "../ui/toast";

const DEPTHS: Profundidad[] = ["ensayo", "completa", "rapida"];

/** Asks how thoroughly a backup is to be checked. */
export function CheckDialog({ id, onClose }: { id: number; onClose: () => void }) {
  const [profundidad, setProfundidad] = useState<Profundidad>("ensayo");
  const verificar = useVerificar();
  const toast = useToast();
  const [, navigate] = useLocation();

  function check() {
    verificar.mutate(
      { id, profundidad },
      {
        onSuccess: () => {
          onClose();
          toast({
            tone: "busy",
            text: `Se está comprobando el respaldo ${id}. El resultado aparecerá en su página.`,
            action: { label: "Ir a su página", act: () => navigate(`/respaldos/${id}`) },
          });
        },
      },
    );
  }

  return (
    <Dialog title={`Comprobar el respaldo ${id}`} onClose={onClose}>
      <fieldset className="choices">
        <legend>Cuánto se comprueba</legend>
        {DEPTHS.map((each) => (
          <label key={each} className="choice">
            <input type="radio" name="profundidad" checked={profundidad === each} onChange={() => setProfundidad(each)} />
            <span>
              <strong>{PROFUNDIDAD[each].word}</strong>
              <span className="muted">{PROFUNDIDAD[each].explained}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {verificar.error === null ? null : (
        <Notice tone="bad" alert>
          {verificar.error.message}
        </Notice>
      )}
      <div className="actions">
        <button type="button" className="button primary" aria-disabled={verificar.isPending} onClick={check}>
          Comprobar
        </button>
        <button type="button" className="button" onClick={onClose}>
          Cerrar
        </button>
      </div>
    </Dialog>
  );
}
