import { Suspense } from "react";
import { Route, Switch } from "wouter";

import { NavLink } from "../shell/NavLink";
import { page } from "../shell/page";
import { Shell } from "../shell/Shell";
import { Loading } from "../ui/states";

const Clinicas = page(() => import("./ClinicasPage"));
const Eventos = page(() => import("./EventosPage"));

/** The pages of all clinics, for a superadmin. */
export function PlatformShell() {
  return (
    <Shell
      nav={
        <nav className="nav" aria-label="Páginas">
          <NavLink href="/" exact>
            Clínicas
          </NavLink>
          <NavLink href="/eventos">Quién hizo qué</NavLink>
        </nav>
      }
    >
      <Suspense fallback={<Loading what="Abriendo…" />}>
        <Switch>
          <Route path="/eventos">
            <Eventos />
          </Route>
          <Route>
            <Clinicas />
          </Route>
        </Switch>
      </Suspense>
    </Shell>
  );
}
