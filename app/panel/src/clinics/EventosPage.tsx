import { useMemo } from "react";
import { Link, useSearchParams } from "wouter";

import type { Accion, EventoDePlataforma } from "../api/client";
import { useEventosDeTodas, useTimeZone, type FiltrosDeEventos } from "../api/queries";
import { Clock } from "../text/format";
import { namedIn } from "../restore/scope";
import { ACCION, hecho } from "../text/words";
import { Notice } from "../ui/Notice";
import { Empty, Failure, Loading } from "../ui/states";
import { usePageTitle } from "../ui/usePageTitle";
import { More } from "./More";

const ACCIONES = Object.keys(ACCION) as Accion[];

/** Who did what in all clinics, newest first; what is looked for is in the address. For a superadmin. */
export default function EventosPage() {
  usePageTitle("Quién hizo qué");
  const [params, setParams] = useSearchParams();
  const filtros = useMemo(() => fromAddress(params), [params]);
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useEventosDeTodas(filtros);
  const { data: zone } = useTimeZone();
  const clock = useMemo(() => (zone === undefined ? null : new Clock(zone)), [zone]);
  const found = data?.pages.flatMap(({ entries }) => entries);
  function set(name: string, value: string) {
    const next = new URLSearchParams(params);
    if (value === "") {
      next.delete(name);
    } else {
      next.set(name, value);
    }
    setParams(next, { replace: true });
  }
  return (
    <div className="page">
      <h1>Quién hizo qué</h1>
      <p className="lead">En todas las clínicas, y los ingresos de quien no es de ninguna.</p>
      <form className="filters" role="search" aria-label="Filtrar" onSubmit={(event) => event.preventDefault()}>
        <label className="field">
          <span>Número de la clínica</span>
          <input
            type="number"
            inputMode="numeric"
            min={1}
            value={params.get("clinica") ?? ""}
            onChange={(event) => set("clinica", event.target.value)}
          />
        </label>
        <label className="field">
          <span>Qué hizo</span>
          <select value={filtros.accion ?? ""} onChange={(event) => set("accion", event.target.value)}>
            <option value="">Todo</option>
            {ACCIONES.map((accion) => (
              <option key={accion} value={accion}>
                {ACCION[accion].charAt(0).toUpperCase() + ACCION[accion].slice(1)}
              </option>
            ))}
          </select>
        </label>
        <label className="field">
          <span>Día</span>
          <input type="date" value={filtros.dia ?? ""} onChange={(event) => set("dia", event.target.value)} />
        </label>
      </form>
      {found === undefined || clock === null ? (
        error === null ? (
          <Loading what="Buscando lo que se hizo…" />
        ) : (
          <Failure heading="h2" error={error} retry={refetch} />
        )
      ) : found.length === 0 ? (
        <Empty heading="h2" icon="clock" title="No hay nada así" />
      ) : (
        <div className="scroll">
          <table className="clinics">
            <caption className="vh">Lo que se hizo, de lo más nuevo a lo más antiguo</caption>
            <thead>
              <tr>
                <th scope="col">Cuándo</th>
                <th scope="col">Clínica</th>
                <th scope="col">Qué</th>
                <th scope="col">Quién</th>
                <th scope="col">Desde</th>
              </tr>
            </thead>
            <tbody>
              {found.map((evento) => (
                <Row key={evento.id} evento={evento} clock={clock} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found !== undefined && error !== null ? <Notice tone="bad">{error.message}</Notice> : null}
      {hasNextPage ? <More fetching={isFetchingNextPage} fetch={fetchNextPage} /> : null}
    </div>
  );
}

/** What an address asks for; what it says that nobody could mean is left out. */
function fromAddress(params: URLSearchParams): FiltrosDeEventos {
  const clinica = params.get("clinica") ?? "";
  const dia = params.get("dia") ?? "";
  return {
    clinica_id: /^[1-9][0-9]{0,14}$/.test(clinica) ? Number(clinica) : undefined,
    accion: ACCIONES.find((each) => each === params.get("accion")),
    dia: /^[12][0-9]{3}-[01][0-9]-[0-3][0-9]$/.test(dia) && !Number.isNaN(Date.parse(dia)) ? dia : undefined,
  };
}

function Row({ evento, clock }: { evento: EventoDePlataforma; clock: Clock }) {
  const { clinica_id, respaldo_id, usuario, direccion, detalle } = evento;
  // Of the command line it is known which user of the machine that was; older lines say what somebody typed to log in.
  const who = usuario ?? [detalle["usuario_sistema"], detalle["correo"]].find((each) => typeof each === "string") ?? null;
  const records = namedIn(detalle);
  const why = [detalle["motivo"], detalle["error"]].find((each) => typeof each === "string");
  return (
    <tr>
      <th scope="row">{clock.full(evento.fecha)}</th>
      <td data-label="Clínica">
        {clinica_id === null ? (
          <span className="muted">ninguna</span>
        ) : (
          <Link href={`/clinica/${clinica_id}`}>Clínica&nbsp;{clinica_id}</Link>
        )}
      </td>
      <td data-label="Qué">
        <span>
          {hecho(evento)}
          {respaldo_id === null ? "" : ` (número ${respaldo_id})`}
        </span>
        {records === null ? null : <span className="small">{records}</span>}
        {why === undefined ? null : <span className="muted small">{why}</span>}
      </td>
      <td data-label="Quién">
        {who === null ? <span className="muted">—</span> : <span>{who}</span>}
      </td>
      <td data-label="Desde">{direccion === null ? <span className="muted">—</span> : <span>{direccion}</span>}</td>
    </tr>
  );
}
