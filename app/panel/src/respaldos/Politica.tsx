import { useState, type FormEvent } from "react";

import type { CambioDePolitica, PedidoPolitica, Politica as Found, ReglasDePolitica } from "../api/client";
import { useCambiarPolitica, usePolitica } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { count } from "../text/format";
import { Choice } from "../ui/Choice";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { Failure, Loading } from "../ui/states";

const DIAS = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"] as const;

type Rules = { [Rule in keyof ReglasDePolitica]: NonNullable<ReglasDePolitica[Rule]> };

/** What is kept besides, and how many of it at least. */
const KEPT = [
  ["retencion_dias", "Cada respaldo, días", 1],
  ["retencion_minimo", "Siempre, de los últimos buenos", 1],
  ["retencion_diarios", "Uno por día, días", 0],
  ["retencion_semanales", "Uno por semana, semanas", 0],
  ["retencion_mensuales", "Uno por mes, meses", 0],
  ["retencion_anuales", "Uno por año, años", 0],
  ["retencion_puntos_dias", "Todos los de día, días", 1],
] as const;

/** When the clinic is backed up, what is kept and who is told, in words; who may say so changes it. */
export function Politica() {
  const { clinica } = useClinic();
  const [changing, setChanging] = useState(false);
  return (
    <>
      <p className="verdict-next">
        {clinica.politica}{" "}
        {clinica.puede_programar ? (
          <button
            type="button"
            className="link"
            onClick={() => setChanging(true)}
            aria-label="Cambiar cuándo se respalda, qué se guarda y a quién se avisa"
          >
            Cambiar
          </button>
        ) : null}
      </p>
      {changing ? <PolicyDialog onClose={() => setChanging(false)} /> : null}
    </>
  );
}

function PolicyDialog({ onClose }: { onClose: () => void }) {
  const { clinica } = useClinic();
  const { data, error, refetch } = usePolitica(clinica.clinica_id);
  return (
    <Dialog title="Cuándo se respalda, qué se guarda y a quién se avisa" onClose={onClose}>
      {data === undefined ? (
        error === null ? (
          <Loading what="Mirando lo que vale hoy…" />
        ) : (
          <Failure error={error} retry={refetch} />
        )
      ) : (
        <Change found={data} onClose={onClose} />
      )}
    </Dialog>
  );
}

function Change({ found, onClose }: { found: Found; onClose: () => void }) {
  const cambiar = useCambiarPolitica(found.clinica_id);
  const [whose, setWhose] = useState<"todas" | "propio">(found.como_todas ? "todas" : "propio");
  const was = found.vale as Rules;
  const [rules, setRules] = useState(was);
  const [seen, setSeen] = useState<CambioDePolitica | null>(null);
  const set = (change: Partial<Rules>) => {
    setRules({ ...rules, ...change });
  };
  const wanted = whose === "todas" ? {} : said(rules, was, found.propia);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (cambiar.isPending) {
      return;
    }
    if (seen === null) {
      cambiar.mutate({ ...wanted, simular: true }, { onSuccess: setSeen });
    } else {
      // Somebody else's backup may have come in between: then it is to be looked at again.
      cambiar.mutate({ ...wanted, huella: seen.huella }, { onSuccess: onClose, onError: () => setSeen(null) });
    }
  }
  return (
    <form className="stack" onSubmit={submit}>
      {seen === null ? (
        <>
          <Choice name="politica" value="todas" now={whose} set={setWhose} title="Como todas las clínicas" said="Vale lo que dice el servicio para todas." />
          <Choice name="politica" value="propio" now={whose} set={setWhose} title="Solo para esta clínica" said="Vale lo que diga abajo; lo que no cambie sigue como estaba." />
          {whose === "todas" ? null : <Fields rules={rules} set={set} />}
        </>
      ) : (
        <Seen seen={seen} />
      )}
      {cambiar.error === null ? null : (
        <Notice tone="bad" alert>
          {cambiar.error.message}
        </Notice>
      )}
      <div className="actions">
        <button type="submit" className="button primary" aria-disabled={cambiar.isPending}>
          {seen === null ? "Ver cómo queda" : seen.se_eliminarian === 0 ? "Guardar" : "Guardar y eliminarlos"}
        </button>
        <button type="button" className="button" onClick={seen === null ? onClose : () => setSeen(null)} data-first="">
          {seen === null ? "Cancelar" : "Volver"}
        </button>
      </div>
    </form>
  );
}

/** What differs from what held; of the rest what had been said, so that it goes on as all clinics' does. */
function said(rules: Rules, was: Rules, propia: ReglasDePolitica): Partial<PedidoPolitica> {
  const same = (name: keyof Rules) => JSON.stringify(rules[name]) === JSON.stringify(was[name]);
  return Object.fromEntries(
    (Object.keys(rules) as (keyof Rules)[]).map((name) => [name, same(name) ? propia[name] : rules[name]]),
  );
}

function Seen({ seen }: { seen: CambioDePolitica }) {
  return (
    <>
      <p>{seen.politica.en_palabras}</p>
      {seen.se_eliminarian === 0 ? (
        <p>No se elimina ningún respaldo.</p>
      ) : (
        <Notice tone="warn">
          La próxima limpieza eliminaría {count(seen.se_eliminarian, "respaldo", "respaldos")}. Los más nuevos de ellos:
          <ul>
            {seen.ejemplos.slice(0, 5).map((each) => (
              <li key={each.id}>
                {each.id}: {each.razon}
              </li>
            ))}
          </ul>
        </Notice>
      )}
    </>
  );
}

function Fields({ rules, set }: { rules: Rules; set: (change: Partial<Rules>) => void }) {
  const [opening = "", closing = ""] = rules.horario.split("-");
  const hours = (from: string, to: string) => set({ horario: `${from}-${to === "00:00" ? "24:00" : to}` });
  return (
    <>
      <label className="field">
        <span>Hora de cada noche</span>
        <input type="time" required value={rules.hora} onChange={(event) => set({ hora: event.target.value })} />
      </label>
      <fieldset className="checks">
        <legend>Qué días</legend>
        {DIAS.map((dia) => (
          <label key={dia}>
            <input
              type="checkbox"
              checked={rules.dias.includes(dia)}
              onChange={(event) =>
                set({ dias: event.target.checked ? [...rules.dias, dia] : rules.dias.filter((each) => each !== dia) })
              }
            />
            {dia}
          </label>
        ))}
      </fieldset>
      <label className="field">
        <span>
          De día, cada cuántos minutos <span className="muted">(0: nunca)</span>
        </span>
        <input
          type="number"
          min={0}
          max={1440}
          required
          value={rules.minutos}
          onChange={(event) => set({ minutos: event.target.valueAsNumber || 0 })}
        />
      </label>
      {rules.minutos === 0 ? null : (
        <div className="pair">
          <label className="field">
            <span>Desde las</span>
            <input type="time" required value={opening} onChange={(event) => hours(event.target.value, closing)} />
          </label>
          <label className="field">
            <span>Hasta las</span>
            <input
              type="time"
              required
              value={closing === "24:00" ? "00:00" : closing}
              onChange={(event) => hours(opening, event.target.value)}
            />
          </label>
        </div>
      )}
      <fieldset className="stack">
        <legend>Qué se guarda</legend>
        {KEPT.map(([rule, label, least]) => (
          <label className="field" key={rule}>
            <span>{label}</span>
            <input
              type="number"
              min={least}
              max={36_500}
              required
              value={rules[rule]}
              onChange={(event) => set({ [rule]: event.target.valueAsNumber || least })}
            />
          </label>
        ))}
      </fieldset>
      <label className="field">
        <span>
          Correos a los que se avisa <span className="muted">(uno por línea)</span>
        </span>
        <textarea
          rows={3}
          defaultValue={rules.avisar.join("\n")}
          onChange={(event) => set({ avisar: event.target.value.split(/\s+/).filter((each) => each !== "") })}
        />
      </label>
      <fieldset className="checks">
        <legend>También</legend>
        <label>
          <input
            type="checkbox"
            checked={rules.avisar_administradores}
            onChange={(event) => set({ avisar_administradores: event.target.checked })}
          />
          a quienes administran la clínica
        </label>
      </fieldset>
    </>
  );
}
