import { useState } from "react";

import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { useNow } from "../ui/useNow";
import { useSession } from "./context";
import { LoginForm } from "./LoginForm";

/** Warns before the session's end, and asks for the password after it, over what the person was doing. */
export function SessionEnd() {
  const { session, phase, enter, leave } = useSession();
  const [renewing, setRenewing] = useState(false);
  const now = useNow();
  if (session === null || phase === "in" || phase === "out") {
    return null;
  }
  const correo = session.usuario.correoelectronico ?? undefined;
  if (phase === "expired") {
    return (
      <Dialog title="Su sesión terminó" onClose={null}>
        <p>Por seguridad hay que ingresar de nuevo. Lo que estaba haciendo sigue aquí, como lo dejó.</p>
        <LoginForm onEntered={enter} correo={correo} action="Continuar" />
        <button type="button" className="button quiet wide" onClick={leave}>
          Ingresar como otra persona
        </button>
      </Dialog>
    );
  }
  const minutes = Math.max(1, Math.ceil((session.ends - now) / 60_000));
  return (
    <>
      <Notice tone="warn">
        Su sesión termina en {minutes} {minutes === 1 ? "minuto" : "minutos"}.{" "}
        <button type="button" className="link" onClick={() => setRenewing(true)}>
          Seguir conectado
        </button>
      </Notice>
      {renewing ? (
        <Dialog title="Seguir conectado" onClose={() => setRenewing(false)}>
          <p>Escriba su contraseña para empezar una sesión nueva sin salir de aquí.</p>
          <LoginForm
            correo={correo}
            action="Seguir"
            onEntered={(entered) => {
              setRenewing(false);
              enter(entered);
            }}
          />
        </Dialog>
      ) : null}
    </>
  );
}
