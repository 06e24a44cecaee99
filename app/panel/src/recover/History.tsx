import { useState } from "react";

import type { Historia } from "../api/client";
import { useHistoria } from "../api/queries";
import { FieldChange } from "../restore/ChangesTable";
import { Said } from "../restore/Said";
import { useClinic } from "../shell/clinic";
import type { Clock } from "../text/format";
import { unRegistro } from "../text/words";
import { Dialog } from "../ui/Dialog";
import { Failure, Loading } from "../ui/states";
import type { ChosenRecord } from "./record";
import { Dependents, Whole } from "./Whole";

type Version = Historia["versiones"][number];

interface HistoryProps {
  modelo: string;
  clave: string;
  dias: number;
  /** Told of the record as it was in one of its versions. */
  only: (record: ChosenRecord) => void;
  onClose: () => void;
}

/** How a record changed, field by field, from today back; each of its versions can be got back. */
export function History({ modelo, clave, dias, only, onClose }: HistoryProps) {
  const { data, error, refetch } = useHistoria(modelo, clave, dias);
  return (
    <Dialog title={data === undefined ? "Cómo fue cambiando" : `${data.etiqueta} (${unRegistro(modelo)})`} onClose={onClose}>
      {data === undefined ? (
        error === null ? (
          <Loading what="Mirando en cada respaldo…" />
        ) : (
          <Failure heading="h2" error={error} retry={refetch} />
        )
      ) : (
        <>
          <ol className="versions">
            {data.versiones.map((version, place) => (
              <li key={version.desde}>
                <OneVersion
                  history={data}
                  version={version}
                  first={place === data.versiones.length - 1}
                  // What is the same today needs no restoring.
                  back={version.hoy ? null : backTo(data, version, only)}
                />
              </li>
            ))}
          </ol>
          <Dependents found={data.dependientes} />
          <Said avisos={data.avisos} />
        </>
      )}
      <div className="actions">
        <button type="button" className="button" onClick={onClose} data-first="">
          Cerrar
        </button>
      </div>
    </Dialog>
  );
}

function backTo(history: Historia, version: Version, only: (record: ChosenRecord) => void): (() => void) | null {
  const { en_respaldo: respaldo, hasta: fecha } = version;
  if (!version.existe || respaldo === null) {
    return null;
  }
  const today = history.versiones[0]?.existe === true;
  return () =>
    only({
      registro: `${history.modelo}:${history.clave}`,
      etiqueta: history.etiqueta,
      que: unRegistro(history.modelo),
      respaldo,
      fecha,
      cambio: today,
    });
}

interface OneVersionProps {
  history: Historia;
  version: Version;
  /** Whether no older one is known. */
  first: boolean;
  back: (() => void) | null;
}

function OneVersion({ history, version, first, back }: OneVersionProps) {
  const { clock } = useClinic();
  const [whole, setWhole] = useState(false);
  const when = span(version, clock);
  const respaldo = version.hoy ? null : version.en_respaldo;
  const see = version.hoy ? "Ver todo como está hoy" : `Ver todo como estaba el ${clock.full(version.hasta)}`;
  return (
    <>
      <strong>{when}</strong>
      {version.existe ? null : <p>{version.hoy ? "No está." : "No estaba."}</p>}
      {version.cambios.length > 0 ? (
        <dl className="fields">
          {version.cambios.map((each) => (
            <FieldChange
              key={`${each.modelo} ${each.columna}`}
              name={each.columna}
              before={each.etiqueta_antes ?? each.antes}
              after={each.etiqueta_despues ?? each.despues}
            />
          ))}
        </dl>
      ) : version.existe ? (
        <p className="muted">{first ? "La primera vez que aparece en estos respaldos." : "Volvió a estar, igual que antes."}</p>
      ) : null}
      {version.existe && (version.hoy || respaldo !== null) ? (
        <button type="button" className="link" aria-expanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Ocultar todo lo que dice" : see}
        </button>
      ) : null}
      {whole ? <Whole modelo={history.modelo} clave={history.clave} respaldo={respaldo} /> : null}
      {back === null ? null : (
        <button type="button" className="link" onClick={back} aria-label={`Recuperar como estaba: ${when}`}>
          Recuperar como estaba entonces
        </button>
      )}
    </>
  );
}

/** «Hoy, y así desde el 3 jul 2026, 02:00», «Del 28 jun 2026, 02:00 al 2 jul 2026, 02:00». */
function span({ desde, hasta, hoy }: Version, clock: Clock): string {
  const since = clock.full(desde);
  if (hoy) {
    return desde === hasta ? "Hoy" : `Hoy, y así desde el ${since}`;
  }
  return desde === hasta ? `El ${clock.full(hasta)}` : `Del ${since} al ${clock.full(hasta)}`;
}
