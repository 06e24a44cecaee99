import { useRef } from "react";

import type { RespaldoDetalle } from "../api/client";
import { useComparar, useRestauraciones } from "../api/queries";
import { changesOf, totals } from "../restore/changes";
import { ChangesTable, summary } from "../restore/ChangesTable";
import { Said } from "../restore/Said";
import { useClinic } from "../shell/clinic";
import { Notice } from "../ui/Notice";
import { Progress } from "../ui/Progress";

interface ComparedProps {
  respaldo: RespaldoDetalle;
  before: RespaldoDetalle;
}

/** What changed since the backup before, record by record: found out when somebody asks, and then kept. */
export function Compared({ respaldo, before }: ComparedProps) {
  const { clinica } = useClinic();
  const { data } = useRestauraciones(respaldo.id);
  const comparar = useComparar();
  const element = useRef<HTMLDivElement>(null);
  // The list has the newest few only; whoever asks for one from long ago is given it.
  const found =
    data?.entries.find(({ tipo, comparado_con }) => tipo === "comparacion" && comparado_con === before.id) ??
    comparar.data;
  const failed = found?.estado === "fallido";
  const changes = found?.estado === "completado" ? changesOf(found) : null;
  const runs = comparar.isPending || (found !== undefined && changes === null && !failed);
  return (
    <div ref={element} tabIndex={-1} className="stack compared" aria-live="polite">
      {changes === null ? null : changes.length === 0 ? (
        <p>
          <strong>No cambió nada</strong> desde el anterior.
        </p>
      ) : (
        <>
          <p>
            <strong>{summary(totals(changes), "between")}</strong>
          </p>
          <ChangesTable changes={changes} tense="between" />
        </>
      )}
      <Said avisos={found?.avisos ?? []} />
      {runs ? <Progress compact progreso={found?.progreso} waiting="Empezará en un momento" /> : null}
      {failed ? <Notice tone="bad">No se pudo comparar: {found.error}.</Notice> : null}
      {comparar.error === null ? null : <Notice tone="bad">{comparar.error.message}</Notice>}
      {clinica.puede_administrar && changes === null && !runs ? (
        <button
          type="button"
          className="button"
          onClick={() => {
            // The button goes, and the focus would with it.
            element.current?.focus();
            comparar.mutate({ id: respaldo.id, desde: before.id });
          }}
        >
          {failed ? "Volver a comparar" : "Ver qué cambió desde el anterior"}
        </button>
      ) : null}
    </div>
  );
}
