import { useState, type FormEvent } from "react";

import type { RespaldoDetalle } from "../api/client";
import { useRestaurar, type Seleccion } from "../api/queries";
import { number } from "../text/format";
import { modelo } from "../text/words";
import { Notice } from "../ui/Notice";

type What = "todo" | "modelos" | "registro";

interface ChooseProps {
  respaldo: RespaldoDetalle;
  /** Told of the preview that was asked for. */
  previewed: (restauracionId: number) => void;
}

/** What is to be got back. Nothing is changed by choosing: next comes the preview. */
export function Choose({ respaldo, previewed }: ChooseProps) {
  const counts = respaldo.metadata.detalles_registros;
  const names = Object.keys(counts).toSorted((one, other) => modelo(one).localeCompare(modelo(other), "es"));
  const [what, setWhat] = useState<What>("todo");
  const [chosen, setChosen] = useState<string[]>([]);
  const [kind, setKind] = useState(names.includes("pacientes") ? "pacientes" : (names[0] ?? ""));
  const [key, setKey] = useState("");
  const [missing, setMissing] = useState<string | null>(null);
  const restaurar = useRestaurar();

  function submit(event: FormEvent) {
    event.preventDefault();
    if (restaurar.isPending) {
      return;
    }
    const said =
      what === "modelos" && chosen.length === 0
        ? "Marque al menos una cosa de la lista."
        : what === "registro" && key.trim() === ""
          ? "Escriba el número o código del registro."
          : null;
    setMissing(said);
    if (said === null) {
      const seleccion: Seleccion =
        what === "modelos" ? { modelos: chosen } : what === "registro" ? { registro: `${kind}:${key.trim()}` } : {};
      restaurar.mutate({ id: respaldo.id, simular: true, seleccion }, { onSuccess: ({ id }) => previewed(id) });
    }
  }

  return (
    <form className="card stack" onSubmit={submit} noValidate>
      <fieldset className="choices">
        <legend>¿Qué quiere recuperar?</legend>
        <Choice what="todo" now={what} set={setWhat} title="Todo" said="La clínica entera queda como estaba ese día." />
        <Choice
          what="modelos"
          now={what}
          set={setWhat}
          title="Algunas cosas"
          said="Por ejemplo, solo las consultas. Lo demás no se toca."
        />
        <Choice
          what="registro"
          now={what}
          set={setWhat}
          title="Un solo registro"
          said="Por ejemplo, un paciente con todo lo suyo."
        />
      </fieldset>
      {what === "modelos" ? (
        <fieldset className="checks">
          <legend>Cuáles</legend>
          {names.map((name) => (
            <label key={name}>
              <input
                type="checkbox"
                checked={chosen.includes(name)}
                onChange={(event) =>
                  setChosen(event.target.checked ? [...chosen, name] : chosen.filter((each) => each !== name))
                }
              />
              <span>{modelo(name)}</span>
              <span className="muted small">{number(counts[name] ?? 0)}</span>
            </label>
          ))}
        </fieldset>
      ) : null}
      {what === "modelos" && chosen.includes("pacientes") && names.includes("usuarios") && !chosen.includes("usuarios") ? (
        <Notice tone="plain">
          El nombre, el teléfono y el correo de cada paciente están en «{modelo("usuarios")}»: si también los quiere,
          márquelo.
        </Notice>
      ) : null}
      {what === "registro" ? (
        <div className="pair">
          <label className="field">
            <span>Qué es</span>
            <select value={kind} onChange={(event) => setKind(event.target.value)}>
              {names.map((name) => (
                <option key={name} value={name}>
                  {modelo(name)}
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>Su número o código</span>
            <input value={key} autoComplete="off" onChange={(event) => setKey(event.target.value)} />
          </label>
        </div>
      ) : null}
      {missing === null && restaurar.error === null ? null : (
        <Notice tone="bad" alert>
          {missing ?? restaurar.error?.message}
        </Notice>
      )}
      <p className="muted">Primero verá qué cambiaría. Hasta que usted lo confirme, nada cambia.</p>
      <button className="button primary" aria-disabled={restaurar.isPending}>
        {restaurar.isPending ? "Pidiéndolo…" : "Ver qué cambiaría"}
      </button>
    </form>
  );
}

interface ChoiceProps {
  what: What;
  now: What;
  set: (what: What) => void;
  title: string;
  said: string;
}

function Choice({ what, now, set, title, said }: ChoiceProps) {
  return (
    <label className="choice">
      <input type="radio" name="que" checked={what === now} onChange={() => set(what)} />
      <span>
        <strong>{title}</strong>
        <span className="muted">{said}</span>
      </span>
    </label>
  );
}
