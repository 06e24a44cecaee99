import { useState, type FormEvent } from "react";
import { Link } from "wouter";

import type { Modo, RespaldoDetalle } from "../api/client";
import { useRestaurar } from "../api/queries";
import { number } from "../text/format";
import { modelo } from "../text/words";
import { Choice } from "../ui/Choice";
import { Notice } from "../ui/Notice";
import { Modes } from "./Modes";

type What = "todo" | "modelos";

interface ChooseProps {
  respaldo: RespaldoDetalle;
  /** Told of the preview that was asked for. */
  previewed: (restauracionId: number) => void;
}

/** What of a whole backup is to be got back. Nothing is changed by choosing: next comes the preview. */
export function Choose({ respaldo, previewed }: ChooseProps) {
  const counts = respaldo.metadata.detalles_registros;
  const names = Object.keys(counts).toSorted((one, other) => modelo(one).localeCompare(modelo(other), "es"));
  const [what, setWhat] = useState<What>("todo");
  const [chosen, setChosen] = useState<string[]>([]);
  // Who wants more has to say so: of the others, one takes away what was noted since.
  const [modo, setModo] = useState<Modo>("faltantes");
  const [missing, setMissing] = useState<string | null>(null);
  const restaurar = useRestaurar();

  function submit(event: FormEvent) {
    event.preventDefault();
    if (restaurar.isPending) {
      return;
    }
    const said = what === "modelos" && chosen.length === 0 ? "Marque al menos una cosa de la lista." : null;
    setMissing(said);
    if (said === null) {
      const seleccion = { ...(what === "modelos" ? { modelos: chosen } : {}), modo };
      restaurar.mutate({ id: respaldo.id, simular: true, seleccion }, { onSuccess: ({ id }) => previewed(id) });
    }
  }

  return (
    <form className="card stack" onSubmit={submit} noValidate>
      <p className="muted">
        Si perdió a un paciente o una cita, no hace falta restaurar el respaldo entero:{" "}
        <Link href="/recuperar">búsquelo por su nombre</Link>.
      </p>
      <fieldset className="choices">
        <legend>¿De qué?</legend>
        <Choice name="que" value="todo" now={what} set={setWhat} title="Todo" said="La clínica entera." />
        <Choice
          name="que"
          value="modelos"
          now={what}
          set={setWhat}
          title="Algunas cosas"
          said="Por ejemplo, solo las consultas. Lo demás no se toca."
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
      <Modes modo={modo} set={setModo} />
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
