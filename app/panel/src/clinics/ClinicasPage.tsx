import { useMemo, useState } from "react";
import { Link } from "wouter";

import type { ClinicaEnLista, Situacion } from "../api/client";
import { useClinicas } from "../api/queries";
import { ago, Clock, count, number } from "../text/format";
import { PROFUNDIDAD, SITUACION } from "../text/words";
import { Badge } from "../ui/Badge";
import { Empty, Failure, Loading } from "../ui/states";
import { useNow } from "../ui/useNow";
import { usePageTitle } from "../ui/usePageTitle";
import { useSettled } from "../ui/useSettled";
import { More } from "./More";

const SITUACIONES = Object.keys(SITUACION) as Situacion[];

/** All clinics, the one that is worst off first, and the way into each. For a superadmin. */
export default function ClinicasPage() {
  usePageTitle("Clínicas");
  const [wanted, setWanted] = useState("");
  const [state, setState] = useState<Situacion | "">("");
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useClinicas(useSettled(wanted), state);
  const now = useNow();
  const last = data?.pages.at(-1);
  if (last === undefined) {
    return error === null ? <Loading what="Mirando cómo está cada clínica…" /> : <Failure error={error} retry={refetch} />;
  }
  const found = data?.pages.flatMap(({ entries }) => entries) ?? [];
  const of = (situacion: Situacion) => last.counts.get(situacion) ?? 0;
  const all = SITUACIONES.reduce((sum, situacion) => sum + of(situacion), 0);
  const troubled = SITUACIONES.reduce((sum, each) => sum + (SITUACION[each].tone === "bad" ? of(each) : 0), 0);
  const unproven = of("sin_verificar");
  const tone = troubled > 0 ? "bad" : unproven > 0 ? "warn" : "good";
  return (
    <div className="page">
      <section className={`verdict small ${tone}`}>
        <div>
          <h1>
            {troubled > 0
              ? `${count(troubled, "clínica necesita", "clínicas necesitan")} atención`
              : unproven > 0
                ? `${count(unproven, "clínica está", "clínicas están")} sin comprobar`
                : "Todas las clínicas están a salvo"}
          </h1>
          <p>{count(all, "clínica", "clínicas")} en total, la que peor está primero.</p>
        </div>
      </section>
      <form className="filters" role="search" aria-label="Buscar clínicas" onSubmit={(event) => event.preventDefault()}>
        <label className="field">
          <span>Buscar una clínica</span>
          <input
            type="search"
            value={wanted}
            maxLength={200}
            onChange={(event) => setWanted(event.target.value)}
          />
        </label>
        <label className="field">
          <span>Cómo está</span>
          <select
            value={state}
            onChange={(event) => setState(event.target.value as Situacion | "")}
          >
            <option value="">Todas</option>
            {Object.entries(SITUACION).map(([value, { word: said }]) => (
              <option key={value} value={value}>
                {said}
              </option>
            ))}
          </select>
        </label>
      </form>
      {found.length === 0 ? (
        <Empty heading="h2" title="Ninguna clínica es así" />
      ) : (
        <div className="scroll">
          <table className="clinics">
            <caption className="vh">Las clínicas y cómo están sus respaldos</caption>
            <thead>
              <tr>
                <th scope="col">Clínica</th>
                <th scope="col">Cómo está</th>
                <th scope="col">Último respaldo bueno</th>
                <th scope="col">Última comprobación</th>
                <th scope="col">Ahora</th>
              </tr>
            </thead>
            <tbody>
              {found.map((clinica) => (
                <Row key={clinica.clinica_id} clinica={clinica} now={now} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {hasNextPage ? (
        <More fetching={isFetchingNextPage} fetch={fetchNextPage}>
          <span role="status">
            Se ven {number(found.length)} de {number(last.total)}.
          </span>
        </More>
      ) : null}
    </div>
  );
}

function Row({ clinica, now }: { clinica: ClinicaEnLista; now: number }) {
  const clock = useMemo(() => new Clock(clinica.zona_horaria), [clinica.zona_horaria]);
  const { word, tone } = SITUACION[clinica.situacion];
  const { ultimo_bueno: good, ultima_verificacion: proof } = clinica;
  return (
    <tr>
      <th scope="row">
        <Link href={`/clinica/${clinica.clinica_id}`}>{clinica.nombre ?? `Clínica ${clinica.clinica_id}`}</Link>
        <span className="muted small">Número {clinica.clinica_id}</span>
      </th>
      <td data-label="Cómo está">
        <Badge tone={tone}>{word}</Badge>
        {clinica.fallos_seguidos > 0 ? (
          <span className="small">{count(clinica.fallos_seguidos, "falla seguida", "fallas seguidas")}</span>
        ) : null}
        {clinica.ultimo_error === null ? null : <span className="muted small">{clinica.ultimo_error}</span>}
      </td>
      <td data-label="Último respaldo bueno">
        {good === null ? (
          <span className="muted">ninguno</span>
        ) : (
          <>
            <span>{ago(good.fecha, now)}</span>
            <span className="muted small">{clock.full(good.fecha)}</span>
          </>
        )}
      </td>
      <td data-label="Última comprobación">
        {proof === null ? (
          <span className="muted">nunca</span>
        ) : (
          <>
            <span>
              {ago(proof.fecha, now)}
              {proof.error === null ? "" : ", falló"}
            </span>
            <span className="muted small">{PROFUNDIDAD[proof.profundidad].word}</span>
          </>
        )}
      </td>
      <td data-label="Ahora">
        {clinica.en_curso === null ? (
          <span className="muted">nada en curso</span>
        ) : (
          <Badge tone="busy">{clinica.en_curso === "respaldo" ? "Respaldando" : "Restaurando"}</Badge>
        )}
      </td>
    </tr>
  );
}
