import { Suspense, useState } from "react";
import { Link, useLocation } from "wouter";

import type { Estadisticas } from "../api/client";
import { useEstadisticas } from "../api/queries";
import { NOTHING, toAddress } from "../recover/address";
import { SearchForm } from "../recover/SearchForm";
import { useClinic } from "../shell/clinic";
import { page } from "../shell/page";
import { count, dollars, megabytes, number, percent } from "../text/format";
import { safety } from "../text/safety";
import { Icon } from "../ui/Icon";
import { Failure, Loading } from "../ui/states";
import { useNow } from "../ui/useNow";
import { usePageTitle } from "../ui/usePageTitle";
import { CheckDialog } from "./Check";
import { Politica } from "./Politica";

const Charts = page(() => import("./Charts"));

/** First whether the data are safe, in one sentence and a colour; then what that rests on. */
export default function EstadisticasRespaldos() {
  usePageTitle("Resumen");
  const { clinica } = useClinic();
  const [, navigate] = useLocation();
  const { data, error, refetch } = useEstadisticas();
  if (data === undefined) {
    return error === null ? <Loading what="Mirando cómo están sus respaldos…" /> : <Failure error={error} retry={refetch} />;
  }
  return (
    <div className="page">
      <Verdict found={data} />
      {clinica.puede_administrar && data.ultimo_bueno !== null ? (
        <section className="card">
          <SearchForm wanted={NOTHING} search={(wanted) => navigate(`/recuperar?${toAddress(wanted)}`)} />
        </section>
      ) : null}
      <Figures found={data} />
      <Suspense fallback={<Loading what="Dibujando…" />}>
        <Charts serie={data.serie} />
      </Suspense>
    </div>
  );
}

function Verdict({ found }: { found: Estadisticas }) {
  const { clinica, clock } = useClinic();
  const now = useNow();
  const [checking, setChecking] = useState(false);
  const { tone, sentence, reason, advice } = safety(found, clock, now);
  const last = found.ultimo_bueno;
  return (
    <section className={`verdict ${tone}`} aria-labelledby="veredicto">
      <span className="verdict-sign">
        <Icon name={tone === "good" ? "shield" : tone === "plain" ? "clock" : "alert"} />
      </span>
      <div>
        <h1 id="veredicto">{sentence}</h1>
        <p>{reason}</p>
        {found.proximo_respaldo === null ? null : (
          <p className="verdict-next">Próximo respaldo: {next(found.proximo_respaldo, clock.hour(found.proximo_respaldo), clock.daysBetween(found.proximo_respaldo, now))}.</p>
        )}
        <Politica />
        {clinica.puede_administrar ? (
          <div className="actions">
            {advice === "comprobar" && last !== null ? (
              <button type="button" className="button primary" onClick={() => setChecking(true)}>
                Comprobar ahora
              </button>
            ) : null}
            <Link href="/respaldos/nuevo" className={`button ${advice === "crear" ? "primary" : ""}`}>
              Crear un respaldo
            </Link>
          </div>
        ) : null}
      </div>
      {checking && last !== null ? <CheckDialog id={last.id} onClose={() => setChecking(false)} /> : null}
    </section>
  );
}

function next(moment: string, hour: string, daysAgo: number): string {
  const day = daysAgo === 0 ? "hoy" : daysAgo === -1 ? "mañana" : moment.slice(0, 10);
  return `${day} a las ${hour}`;
}

function Figures({ found }: { found: Estadisticas }) {
  return (
    <dl className="figures">
      <div>
        <dt>Espacio que ocupan</dt>
        <dd>{megabytes(found.tamaño_almacenado_mb)}</dd>
        <dd className="muted small">en {count(found.completados, "respaldo", "respaldos")}</dd>
      </div>
      <div>
        <dt>Costo al mes, estimado</dt>
        <dd>{dollars(found.costo_mensual_estimado_usd)}</dd>
        <dd className="muted small">a {decimal(found.precio_gb_mes_usd)} USD por GB</dd>
      </div>
      <div>
        <dt>Salieron bien</dt>
        <dd>{found.completados + found.fallidos === 0 ? "—" : percent(found.tasa_exito)}</dd>
        <dd className="muted small">
          {found.fallidos === 0 ? "ninguno falló" : `${number(found.fallidos)} ${found.fallidos === 1 ? "falló" : "fallaron"}`}
        </dd>
      </div>
    </dl>
  );
}

function decimal(value: number): string {
  return new Intl.NumberFormat("es-BO", { maximumFractionDigits: 4 }).format(value);
}
