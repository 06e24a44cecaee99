import { useState, type FormEvent } from "react";

import type { Puntos as Found } from "../api/client";
import { usePuntos } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { everyMinutes, hours, onClock } from "../text/points";
import { Choice } from "../ui/Choice";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";

/** What is offered; whatever else holds today is offered, too (minutes, 0: never). */
const OFTEN = [0, 15, 30, 60, 120, 240];

/** How often the clinic is backed up by day, in words; who may say so changes it. */
export function Puntos() {
  const { clinica } = useClinic();
  const [changing, setChanging] = useState(false);
  const { minutos, horario } = clinica.puntos;
  return (
    <>
      <p className="verdict-next">
        {minutos === 0 ? "Respaldos de día: no." : `Respaldos de día: ${everyMinutes(minutos)} ${hours(horario)}.`}{" "}
        {clinica.puede_programar ? (
          <button type="button" className="link" onClick={() => setChanging(true)} aria-label="Cambiar los respaldos de día">
            Cambiar
          </button>
        ) : null}
      </p>
      {changing ? <Change found={clinica.puntos} onClose={() => setChanging(false)} /> : null}
    </>
  );
}

function Change({ found, onClose }: { found: Found; onClose: () => void }) {
  const { clinica } = useClinic();
  const puntos = usePuntos(clinica.clinica_id);
  const [whose, setWhose] = useState<"todas" | "propio">(found.como_todas ? "todas" : "propio");
  const [minutos, setMinutos] = useState(found.minutos);
  const [opening = "", closing = ""] = found.horario.split("-");
  const [desde, setDesde] = useState(opening);
  const [hasta, setHasta] = useState(closing === "24:00" ? "00:00" : closing);
  const until = hasta === "00:00" ? "24:00" : hasta;
  const possible = whose === "todas" || minutos === 0 || (desde !== "" && desde < until);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!puntos.isPending && possible) {
      const horario = minutos === 0 ? null : `${desde}-${until}`;
      puntos.mutate(whose === "todas" ? { minutos: null, horario: null } : { minutos, horario }, { onSuccess: onClose });
    }
  }
  return (
    <Dialog title="Respaldos durante el día" onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <p>Además del de cada noche. Donde no cambió nada desde el anterior, no se guarda otro archivo.</p>
        <Choice name="puntos" value="todas" now={whose} set={setWhose} title="Como todas las clínicas" said="Vale lo que dice el servicio para todas." />
        <Choice name="puntos" value="propio" now={whose} set={setWhose} title="Solo para esta clínica" said="Vale lo que diga abajo." />
        {whose === "todas" ? null : (
          <>
            <label className="field">
              <span>Cada cuánto</span>
              <select value={minutos} onChange={(event) => setMinutos(Number(event.target.value))}>
                {[...new Set([...OFTEN, found.minutos])].toSorted((a, b) => a - b).map((each) => (
                  <option key={each} value={each}>
                    {each === 0 ? "Nunca de día" : everyMinutes(each)}
                  </option>
                ))}
              </select>
            </label>
            {minutos === 0 ? null : (
              <div className="pair">
                <label className="field">
                  <span>Desde las</span>
                  <input type="time" required value={desde} onChange={(event) => setDesde(event.target.value)} />
                </label>
                <label className="field">
                  <span>Hasta las</span>
                  <input type="time" required value={hasta} onChange={(event) => setHasta(event.target.value)} />
                </label>
              </div>
            )}
            {!possible && desde !== "" ? <p className="muted">Tiene que terminar después de las {onClock(desde)}.</p> : null}
          </>
        )}
        {puntos.error === null ? null : (
          <Notice tone="bad" alert>
            {puntos.error.message}
          </Notice>
        )}
        <div className="actions">
          <button type="submit" className="button primary" aria-disabled={puntos.isPending || !possible}>
            Guardar
          </button>
          <button type="button" className="button" onClick={onClose} data-first="">
            Cancelar
          </button>
        </div>
      </form>
    </Dialog>
  );
}
