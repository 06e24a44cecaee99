import { useState, type FormEvent } from "react";

import { Icon } from "../ui/Icon";
import { DAYS, type Wanted } from "./address";

/** As the service takes it. */
const LONGEST = 200;

interface SearchFormProps {
  wanted: Wanted;
  /** Told of what is to be looked for. */
  search: (wanted: Wanted) => void;
  /** Whether it also asks how far back; without, the usual. */
  days?: boolean;
}

/** «¿Qué perdió?»: what to look for in today's data and in the backups, in the words that people have for it. */
export function SearchForm({ wanted, search, days = false }: SearchFormProps) {
  const [texto, setTexto] = useState(wanted.texto);
  const [dias, setDias] = useState(wanted.dias);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (texto.trim() !== "") {
      search({ texto: texto.trim(), dias });
    }
  }

  return (
    <form
      className={wanted.texto === "" ? "stack" : "stack searched"}
      role="search"
      aria-label="Buscar lo que se perdió"
      onSubmit={submit}
    >
      <label className="field">
        <span className="lead-question">¿Qué perdió?</span>
        <span className="muted small">
          Escriba un nombre, un apellido, un teléfono o un carnet. No importan las mayúsculas ni los acentos.
        </span>
        <input
          type="search"
          value={texto}
          maxLength={LONGEST}
          autoComplete="off"
          placeholder="Por ejemplo: María Muñoz"
          onChange={(event) => setTexto(event.target.value)}
        />
      </label>
      <div className="pair search-end">
        {days ? (
          <label className="field">
            <span className="search-days">Se busca hoy y en los respaldos de</span>
            <select value={dias} onChange={(event) => setDias(Number(event.target.value))}>
              {DAYS.map(({ dias: each, said }) => (
                <option key={each} value={each}>
                  {said}
                </option>
              ))}
            </select>
          </label>
        ) : null}
        <button className="button primary">
          <Icon name="search" /> Buscar
        </button>
      </div>
    </form>
  );
}
