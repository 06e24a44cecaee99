import { useState, type FormEvent } from "react";

import { answered, ApiError, makeApi } from "../api/client";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { useSession } from "./context";

/** Asks for the password again, and goes on with what was asked for. */
export function ConfirmPassword() {
  const { confirming, token, expire } = useSession();
  const [contraseña, setContraseña] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  if (confirming === null) {
    return null;
  }
  const end = (renewed: Parameters<typeof confirming>[0]) => {
    setContraseña("");
    setProblem(null);
    confirming(renewed);
  };

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) {
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      const api = makeApi({ token, clinicaId: null, onExpired: expire });
      end(await answered(api.POST("/api/v1/auth/confirmar/", { body: { contraseña } })));
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : "No se pudo confirmar.");
      if (error instanceof ApiError && error.status === 401) {
        end(null);
      }
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog title="Confirme que es usted" onClose={() => end(null)}>
      <p>Para sacar, restaurar o eliminar datos hay que dar la contraseña de nuevo si pasaron más de 15 minutos.</p>
      <form className="stack" onSubmit={(event) => void submit(event)} noValidate>
        {problem === null ? null : (
          <Notice tone="bad" alert>
            {problem}
          </Notice>
        )}
        <label className="field">
          <span>Contraseña</span>
          <input
            name="password"
            type="password"
            autoComplete="current-password"
            required
            value={contraseña}
            data-first=""
            onChange={(event) => setContraseña(event.target.value)}
          />
        </label>
        <button className="button primary wide" aria-disabled={busy}>
          {busy ? "Confirmando…" : "Continuar"}
        </button>
        <button type="button" className="button quiet wide" onClick={() => end(null)}>
          Dejarlo
        </button>
      </form>
    </Dialog>
  );
}
