import { Link, useSearchParams } from "wouter";

import type { RespaldoDetalle, Restauracion } from "../api/client";
import { useRespaldo, useRestauracion } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { Progress } from "../ui/Progress";
import { Empty, Failure, Loading } from "../ui/states";
import { usePageTitle } from "../ui/usePageTitle";
import { Choose } from "./Choose";
import { Failed, Restored } from "./Result";
import { Preview } from "./Preview";

const STEPS = ["Elegir", "Ver qué cambia", "Restaurar"];

/**
 * Gets a clinic's data back: choose what, see what would change, confirm, watch, read the result.
 *
 * Which step it is follows from the preview or restore whose number is in the address, so that a reload goes on.
 */
export default function RestorePage({ id }: { id: number }) {
  usePageTitle(`Restaurar el respaldo ${id}`);
  const { clinica, clock } = useClinic();
  const [params, setParams] = useSearchParams();
  const number = Number(params.get("restauracion"));
  const asked = Number.isInteger(number) && number > 0 ? number : null;
  const go = (next: number | null) => setParams(next === null ? {} : { restauracion: String(next) });
  const { data: respaldo, error, refetch } = useRespaldo(id);
  const restauracion = useRestauracion(asked);
  const found = asked === null ? undefined : restauracion.data;
  const place = found === undefined ? 0 : found.simulada ? 1 : 2;

  if (respaldo === undefined) {
    return (
      <div className="page narrow">
        {error === null ? <Loading what="Abriendo el respaldo…" /> : <Failure error={error} retry={refetch} />}
      </div>
    );
  }
  return (
    <div className="page narrow">
      <Link href={`/respaldos/${id}`} className="back">
        <Icon name="left" /> Respaldo {id}
      </Link>
      <h1>Restaurar</h1>
      <p className="lead">
        Con el respaldo del <strong>{clock.full(respaldo.fecha_respaldo)}</strong>.
      </p>
      {!clinica.puede_administrar ? (
        <Notice tone="plain">Solo quien administra la clínica puede restaurar.</Notice>
      ) : !respaldo.puede_restaurar ? (
        <Notice tone="warn">Este respaldo no está completo, así que no se puede restaurar con él.</Notice>
      ) : (
        <>
          <ol className="steps">
            {STEPS.map((step, each) => (
              <li key={step} aria-current={each === place ? "step" : undefined} className={each < place ? "past" : undefined}>
                {step}
              </li>
            ))}
          </ol>
          {asked === null ? (
            <Choose respaldo={respaldo} previewed={go} />
          ) : restauracion.error !== null && found === undefined ? (
            <Failure heading="h2" error={restauracion.error} retry={restauracion.refetch} />
          ) : found === undefined ? (
            <Loading what="Buscando…" />
          ) : found.respaldo_id !== id || found.tipo !== "restauracion" ? (
            <Empty heading="h2" icon="alert" title="Esta restauración no es de este respaldo" />
          ) : (
            <Step key={`${found.id} ${found.estado}`} found={found} respaldo={respaldo} go={go} />
          )}
        </>
      )}
    </div>
  );
}

interface StepProps {
  found: Restauracion;
  respaldo: RespaldoDetalle;
  go: (next: number | null) => void;
}

function Step({ found, respaldo, go }: StepProps) {
  if (found.estado === "pendiente" || found.estado === "procesando") {
    return (
      <section className="card stack" aria-label="Cómo avanza">
        <Progress progreso={found.progreso} waiting="Empezará en un momento" trial={found.simulada} />
        <p className="muted">
          {found.simulada
            ? "Se compara el respaldo con sus datos de hoy. Nada cambia todavía."
            : "Puede salir de esta página; conviene que nadie trabaje en el sistema hasta que termine."}
        </p>
      </section>
    );
  }
  if (found.estado !== "completado") {
    return <Failed found={found} again={() => go(null)} />;
  }
  return found.simulada ? (
    <Preview found={found} respaldo={respaldo} started={go} back={() => go(null)} />
  ) : (
    <Restored found={found} />
  );
}
