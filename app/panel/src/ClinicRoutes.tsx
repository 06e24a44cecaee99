import { Suspense, useEffect, useMemo, useRef, type ComponentType } from "react";
import { Link, Route, Switch, useLocation, useRoute } from "wouter";

import { useClinica } from "./api/queries";
import { useSession } from "./session/context";
import { Clock } from "./text/format";
import { Empty, Failure, Loading } from "./ui/states";
import { ClinicContext } from "./shell/clinic";
import { fetchPages, page } from "./shell/page";
import { Shell } from "./shell/Shell";

const Estadisticas = page(() => import("./respaldos/EstadisticasRespaldos"));
const Lista = page(() => import("./respaldos/RespaldosList"));
const Detalle = page(() => import("./respaldos/RespaldoDetail"));
const Crear = page(() => import("./respaldos/CrearRespaldo"));
const Recuperar = page(() => import("./recover/RecoverPage"));
const Restaurar = page(() => import("./restore/RestorePage"));

/** The pages of one clinic. */
export function ClinicShell() {
  const { session } = useSession();
  const { data: clinica, error, refetch } = useClinica();
  const value = useMemo(
    () => (clinica === undefined ? null : { clinica, clock: new Clock(clinica.zona_horaria) }),
    [clinica],
  );
  const several = session?.usuario.clinica_id === null;
  return (
    <Shell
      clinic={
        <>
          {several ? <Link href="~/panel">Todas las clínicas</Link> : null}
          {clinica === undefined ? null : <strong>{clinica.nombre ?? `Clínica ${clinica.clinica_id}`}</strong>}
        </>
      }
      nav={<Nav administers={clinica?.puede_administrar ?? false} />}
    >
      {value === null ? (
        error === null ? (
          <Loading what="Abriendo sus respaldos…" />
        ) : (
          <Failure error={error} retry={refetch} />
        )
      ) : (
        <ClinicContext value={value}>
          <Suspense fallback={<Loading what="Abriendo…" />}>
            <Pages />
          </Suspense>
        </ClinicContext>
      )}
    </Shell>
  );
}

/** The first page has been drawn by then (milliseconds). */
const FETCH_AFTER = 1500;

function Pages() {
  useFocusOnNewPage();
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

function Nav({ administers }: { administers: boolean }) {
  return (
    <nav className="nav" aria-label="Páginas">
      <NavLink href="/" exact>
        Resumen
      </NavLink>
      <NavLink href="/respaldos">Respaldos</NavLink>
      {administers ? <NavLink href="/recuperar">Recuperar datos</NavLink> : null}
      {administers ? <NavLink href="/respaldos/nuevo">Crear respaldo</NavLink> : null}
    </nav>
  );
}

function NavLink({ href, exact = false, children }: { href: string; exact?: boolean; children: string }) {
  const [same] = useRoute(href);
  const [below] = useRoute(`${href}/*?`);
  const [creating] = useRoute("/respaldos/nuevo");
  const here = same || (!exact && below && !creating);
  return (
    <Link href={href} aria-current={here ? "page" : undefined}>
      {children}
    </Link>
  );
}

/** After following a link, a screen reader begins with the new page, as after loading one. */
function useFocusOnNewPage(): void {
  const [location] = useLocation();
  const before = useRef(location);
  useEffect(() => {
    if (before.current !== location) {
      before.current = location;
      window.scrollTo(0, 0);
      const main = document.getElementById("contenido");
      // A page may have given it to its first field, in which somebody types already.
      if (!main?.contains(document.activeElement)) {
        main?.focus({ preventScroll: true });
      }
    }
  }, [location]);
}
