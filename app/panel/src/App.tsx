import { useMemo } from "react";
import { Redirect, Route, Switch } from "wouter";

import { makeApi } from "./api/client";
import { ApiProvider } from "./api/context";
import { ClinicShell } from "./ClinicRoutes";
import { PlatformShell } from "./clinics/PlatformShell";
import { ConfirmPassword } from "./session/ConfirmPassword";
import { useSession } from "./session/context";
import { LoginPage } from "./session/LoginPage";
import { personaOf } from "./session/session";
import { SessionEnd } from "./session/SessionEnd";

/** The way to every page. A superadmin's begin with the clinic; anybody else's clinic is their own. */
export function App() {
  const { session, phase, expire, confirm, token } = useSession();
  const superadmin = session?.usuario.clinica_id === null;
  const everywhere = useMemo(
    () => makeApi({ token, clinicaId: null, onExpired: expire, confirm }),
    [token, expire, confirm],
  );
  if (session === null || phase === "out") {
    return <LoginPage />;
  }
  const persona = personaOf(session);
  return (
    <>
      {superadmin ? (
        <Switch>
          <Route path="/clinica/:id" nest>
            {({ id }) => <ChosenClinic key={id} clinicaId={Number(id)} persona={persona} />}
          </Route>
          <Route path={/^\/(?:eventos\/?)?$/}>
            <ApiProvider api={everywhere} scope="propia" persona={persona}>
              <PlatformShell />
            </ApiProvider>
          </Route>
          <Route>
            <Redirect to="/" replace />
          </Route>
        </Switch>
      ) : (
        <ApiProvider api={everywhere} scope="propia" persona={persona}>
          <ClinicShell />
        </ApiProvider>
      )}
      <ConfirmPassword />
      <SessionEnd />
    </>
  );
}

function ChosenClinic({ clinicaId, persona }: { clinicaId: number; persona: string }) {
  const { expire, confirm, token } = useSession();
  const api = useMemo(
    () => makeApi({ token, clinicaId, onExpired: expire, confirm }),
    [token, expire, confirm, clinicaId],
  );
  return (
    <ApiProvider api={api} scope={clinicaId} persona={persona}>
      <ClinicShell />
    </ApiProvider>
  );
}
