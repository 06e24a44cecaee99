import { Link, useSearchParams } from "wouter";

import { useRespaldo, useRestauracion } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { Empty, Failure, Loading } from "../ui/states";
import { usePageTitle } from "../ui/usePageTitle";
import { Choose } from "./Choose";
import { Step } from "./Step";
import { Steps } from "./Steps";

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
          <Steps names={STEPS} place={place} />
          {asked === null ? (
            <Choose respaldo={respaldo} previewed={go} />
          ) : restauracion.error !== null && found === undefined ? (
            <Failure heading="h2" error={restauracion.error} retry={restauracion.refetch} />
          ) : found === undefined ? (
            <Loading what="Buscando…" />
          ) : found.respaldo_id !== id || found.tipo !== "restauracion" ? (
            <Empty heading="h2" icon="alert" title="Esta restauración no es de este respaldo" />
          ) : (
            <Step key={`${found.id} ${found.estado}`} found={found} respaldo={respaldo} go={go} back={() => go(null)} />
          )}
        </>
      )}
    </div>
  );
}
