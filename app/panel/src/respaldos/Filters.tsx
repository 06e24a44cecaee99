import type { Estado, TipoRespaldo } from "../api/client";
import type { Filtros } from "../api/queries";
import { ESTADO, TIPO } from "../text/words";

/** Not a state of the service's, but one to whoever looks for what they have deleted. */
const ELIMINADOS = "eliminados";

const NONE: Filtros = {
  estado: undefined,
  tipo_respaldo: undefined,
  desde: undefined,
  hasta: undefined,
  eliminados: undefined,
};

interface FiltersProps {
  filtros: Filtros;
  set: (changed: Filtros) => void;
}

export function Filters({ filtros, set }: FiltersProps) {
  const any = (Object.keys(NONE) as (keyof Filtros)[]).some((name) => filtros[name] !== undefined);
  return (
    <form className="filters" role="search" aria-label="Filtrar los respaldos" onSubmit={(event) => event.preventDefault()}>
      <label className="field">
        <span>Estado</span>
        <select
          value={filtros.eliminados === undefined ? (filtros.estado ?? "") : ELIMINADOS}
          onChange={({ target: { value } }) =>
            set(
              value === ELIMINADOS
                ? { estado: undefined, eliminados: "true" }
                : { estado: (value || undefined) as Estado | undefined, eliminados: undefined },
            )
          }
        >
          <option value="">Todos</option>
          {Object.entries(ESTADO).map(([value, { word }]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
          <option value={ELIMINADOS}>Eliminados, por recuperar</option>
        </select>
      </label>
      <label className="field">
        <span>Tipo</span>
        <select
          value={filtros.tipo_respaldo ?? ""}
          onChange={(event) => set({ tipo_respaldo: (event.target.value || undefined) as TipoRespaldo | undefined })}
        >
          <option value="">Todos</option>
          {Object.entries(TIPO).map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>Desde</span>
        <input
          type="date"
          value={filtros.desde ?? ""}
          onChange={(event) => set({ desde: event.target.value || undefined })}
        />
      </label>
      <label className="field">
        <span>Hasta</span>
        <input
          type="date"
          value={filtros.hasta ?? ""}
          onChange={(event) => set({ hasta: event.target.value || undefined })}
        />
      </label>
      {any ? (
        <button
          type="button"
          className="button quiet"
          onClick={() => set(NONE)}
        >
          Quitar filtros
        </button>
      ) : null}
    </form>
  );
}
