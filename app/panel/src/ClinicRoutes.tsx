import { Link } from "wouter";

import { useClinica } from "./api/queries";
import { ClinicPages } from "./ClinicPages";
import { useSession } from "./session/context";
import { NavLink } from "./shell/NavLink";
import { Shell } from "./shell/Shell";

/** The pages of one clinic, and what is around them. */
export function ClinicShell() {
  const { session } = useSession();
  const { data: clinica } = useClinica();
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
      <ClinicPages />
    </Shell>
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
