import { Suspense, useEffect, useMemo, type ComponentType } from "react";
import { Link, Route, Switch } from "wouter";

import { useClinica } from "./api/queries";
import { ClinicContext } from "./shell/clinic";
import { fetchPages, page } from "./shell/page";
import { Clock } from "./text/format";
import { Empty, Failure, Loading } from "./ui/states";

const Estadisticas = page(() => import("./respaldos/EstadisticasRespaldos"));
const Lista = page(() => import("./respaldos/RespaldosList"));
const Detalle = page(() => import("./respaldos/RespaldoDetail"));
const Crear = page(() => import("./respaldos/CrearRespaldo"));
const Recuperar = page(() => import("./recover/RecoverPage"));
const Restaurar = page(() => import("./restore/RestorePage"));

/** The page of a clinic that the address asks for. */
export function ClinicPages() {
  const { data: clinica, error, refetch } = useClinica();
  const value = useMemo(
    () => (clinica === undefined ? null : { clinica, clock: new Clock(clinica.zona_horaria) }),
    [clinica],
  );
  if (value === null) {
    return error === null ? <Loading what="Abriendo sus respaldos…" /> : <Failure error={error} retry={refetch} />;
  }
  return (
    <ClinicContext value={value}>
      <Suspense fallback={<Loading what="Abriendo…" />}>
        <Pages />
      </Suspense>
    </ClinicContext>
  );
}

/** The first page has been drawn by then (milliseconds). */
const FETCH_AFTER = 1500;

function Pages() {
  useEffect(() => {
    const timer = setTimeout(fetchPages, FETCH_AFTER);
    return () => clearTimeout(timer);
  }, []);
  return (
    <Switch>
      <Route path="/">
        <Estadisticas />
      </Route>
      <Route path="/recuperar">
        <Recuperar />
      </Route>
      <Route path="/respaldos">
        <Lista />
      </Route>
      <Route path="/respaldos/nuevo">
        <Crear />
      </Route>
      <Route path="/respaldos/:id">{({ id }) => <Numbered id={id} Page={Detalle} />}</Route>
      <Route path="/respaldos/:id/restaurar">{({ id }) => <Numbered id={id} Page={Restaurar} />}</Route>
      <Route>
        <NotHere />
      </Route>
    </Switch>
  );
}

function Numbered({ id, Page }: { id: string; Page: ComponentType<{ id: number }> }) {
  return /^[1-9][0-9]{0,14}$/.test(id) ? <Page key={id} id={Number(id)} /> : <NotHere />;
}

function NotHere() {
  return (
    <Empty icon="alert" title="Esta página no existe">
      <Link href="/" className="button">
        Ir al resumen
      </Link>
    </Empty>
  );
}
