import { useState, type FormEvent } from "react";

import { answered, ApiError, makeApi, type Ingresado } from "../api/client";
import { Notice } from "../ui/Notice";

const api = makeApi({ token: null, clinicaId: null, onExpired: () => undefined });

interface LoginFormProps {
  onEntered: (entered: Ingresado) => void;
  /** Who comes back after their session has ended: only the password is asked for. */
  correo?: string | undefined;
  action?: string;
}

export function LoginForm({ onEntered, correo: known, action = "Ingresar" }: LoginFormProps) {
  const [correo, setCorreo] = useState(known ?? "");
  const [contraseña, setContraseña] = useState("");
  const [clinica, setClinica] = useState("");
  const [asksClinic, setAsksClinic] = useState(false);
  const [shown, setShown] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) {
      return;
    }
    if (correo.trim() === "" || contraseña === "") {
      setProblem("Escriba su correo y su contraseña.");
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      const body = { correo: correo.trim(), contraseña, ...(clinica.trim() === "" ? {} : { clinica: clinica.trim() }) };
      onEntered(await answered(api.POST("/api/v1/auth/login/", { body })));
    } catch (error) {
      const said = error instanceof ApiError ? error.message : "No se pudo ingresar.";
      if (said.includes("«clinica»")) {
        setAsksClinic(true);
        setProblem("Su correo está en varias clínicas: escriba en cuál quiere ingresar.");
      } else {
        setProblem(said);
      }
    } finally {
      setBusy(false);
    }
  }

  return (
    <form className="stack" onSubmit={(event) => void submit(event)} noValidate>
      {problem === null ? null : (
        <Notice tone="bad" alert>
          {problem}
        </Notice>
      )}
      <label className="field">
        <span>Correo o nombre de usuario</span>
        <input
          name="username"
          type="text"
          inputMode="email"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          value={correo}
          readOnly={known !== undefined}
          autoFocus={known === undefined}
          onChange={(event) => setCorreo(event.target.value)}
        />
      </label>
      <div className="field">
        <label htmlFor="contraseña">Contraseña</label>
        <div className="joined">
          <input
            id="contraseña"
            name="password"
            type={shown ? "text" : "password"}
            autoComplete="current-password"
            required
            value={contraseña}
            data-first={known !== undefined ? "" : undefined}
            onChange={(event) => setContraseña(event.target.value)}
          />
          <button type="button" className="button quiet" aria-pressed={shown} onClick={() => setShown(!shown)}>
            {shown ? "Ocultar" : "Mostrar"}
          </button>
        </div>
      </div>
      {asksClinic ? (
        <label className="field">
          <span>Clínica</span>
          <input value={clinica} onChange={(event) => setClinica(event.target.value)} autoFocus />
        </label>
      ) : null}
      <button className="button primary wide" aria-disabled={busy}>
        {busy ? "Ingresando…" : action}
      </button>
    </form>
  );
}
