import { useRef, useState } from "react";

import type { Exportacion, Formato } from "../api/client";
import { useCancelarExportacion, useDescargarExportacion, useExportaciones, useExportar } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { ago, megabytes } from "../text/format";
import { FORMATO } from "../text/words";
import { Choice } from "../ui/Choice";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { Progress } from "../ui/Progress";
import { useToast } from "../ui/toast";
import { useNow } from "../ui/useNow";

/** How long one that came to nothing is told of (milliseconds). */
const TOLD = 24 * 60 * 60_000;

const runs = ({ estado }: Exportacion): boolean => estado === "pendiente" || estado === "procesando";

/** Asks for what programs the data is to be taken away; `initial` is chosen at first. */
export function ExportDialog({ id, initial, onClose }: { id: number; initial: Formato; onClose: () => void }) {
  const [formato, setFormato] = useState<Formato>(initial);
  const exportar = useExportar();

  return (
    <Dialog title={`Exportar los datos del respaldo ${id}`} onClose={onClose}>
      <fieldset className="choices">
        <legend>Con qué se van a abrir</legend>
        {(Object.keys(FORMATO) as Formato[]).map((each) => (
          <Choice
            key={each}
            name="formato"
            value={each}
            now={formato}
            set={setFormato}
            title={FORMATO[each].word}
            said={FORMATO[each].explained}
          />
        ))}
      </fieldset>
      <p className="muted small">
        Tienen los datos de sus pacientes y de quienes ingresan al sistema: guárdelos donde solo los vea quien deba.
      </p>
      {exportar.error === null ? null : (
        <Notice tone="bad" alert>
          {exportar.error.message}
        </Notice>
      )}
      <div className="actions">
        <button
          type="button"
          className="button primary"
          aria-disabled={exportar.isPending}
          onClick={() => (exportar.isPending ? null : exportar.mutate({ id, formato }, { onSuccess: onClose }))}
        >
          Preparar los datos
        </button>
        <button type="button" className="button" onClick={onClose}>
          Cerrar
        </button>
      </div>
    </Dialog>
  );
}

/** What is being made of the backup for a person to take away, and what they can download. */
export function Exports({ respaldoId }: { respaldoId: number }) {
  const { clinica } = useClinic();
  const { data } = useExportaciones(respaldoId, clinica.puede_administrar);
  const now = useNow();
  const element = useRef<HTMLElement>(null);
  const entries = data?.entries ?? [];
  // What became of the last one is told, until another is asked for.
  const shown = entries.filter(
    (each, place) =>
      runs(each) ||
      each.disponible ||
      (place === 0 && each.estado !== "completado" && now - Date.parse(each.fecha_fin ?? each.fecha_creacion) < TOLD),
  );
  const ready = shown.filter(({ disponible, descargado }) => disponible && descargado === null).length;
  return (
    <>
      {shown.length === 0 ? null : (
        <section ref={element} tabIndex={-1} className="card" aria-labelledby="exportaciones">
          <h2 id="exportaciones">Datos exportados</h2>
          <ul className="timeline">
            {shown.map((each) => (
              <Export key={each.id} found={each} onPressed={() => element.current?.focus()} />
            ))}
          </ul>
        </section>
      )}
      <p className="vh" role="status">
        {shown.some(runs) ? "Se están preparando los datos exportados." : ""}
        {ready > 0 ? "Hay datos exportados listos para descargar." : ""}
      </p>
    </>
  );
}

/** `onPressed`: its button is about to go, and the focus would with it. */
function Export({ found, onPressed }: { found: Exportacion; onPressed: () => void }) {
  const { clock } = useClinic();
  const now = useNow();
  const cancelar = useCancelarExportacion();
  const descargar = useDescargarExportacion();
  const toast = useToast();
  const refuse = { onError: (error: Error) => toast({ tone: "bad", text: error.message }) };
  const { word } = FORMATO[found.formato];
  if (runs(found)) {
    return (
      <li>
        <Icon name="clock" />
        <div>
          <strong>{word}</strong>
          <Progress compact progreso={found.progreso} waiting="En espera" />
          <div className="actions">
            <button
              type="button"
              className="button"
              aria-label={`Cancelar: ${word}`}
              onClick={() => {
                onPressed();
                cancelar.mutate(found.id, refuse);
              }}
            >
              Cancelar
            </button>
          </div>
        </div>
      </li>
    );
  }
  if (!found.disponible) {
    return (
      <li className={found.estado === "fallido" ? "bad" : undefined}>
        <Icon name="cross" />
        <div>
          <strong>{word}</strong>
          <span className="small">
            {found.estado === "fallido" ? `No se pudo exportar: ${found.error}.` : "Se canceló."}
          </span>
        </div>
      </li>
    );
  }
  const until = found.vence === null ? "" : clock.full(found.vence);
  const label = found.descargado === null ? "Descargar" : "Descargar otra vez";
  return (
    <li>
      <Icon name="check" />
      <div>
        <strong>{word}</strong>
        <span className="muted small">
          {found.descargado === null
            ? `${megabytes(found.tamaño_mb)}. Se descarga una sola vez, hasta el ${until}.`
            : `Se descargó ${ago(found.descargado, now)}. Si no llegó entero, se puede otra vez hasta el ${until}.`}
        </span>
        <div className="actions">
          <button
            type="button"
            className={found.descargado === null ? "button primary" : "button"}
            aria-label={`${label}: ${word}`}
            disabled={descargar.isPending}
            onClick={() => descargar.mutate(found.id, refuse)}
          >
            <Icon name="download" /> {label}
          </button>
        </div>
      </div>
    </li>
  );
}
