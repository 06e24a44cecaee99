import { useQueryClient } from "@tanstack/react-query";
import { useContext, useEffect, useRef, useState, type FormEvent } from "react";
import { Link, useSearchParams } from "wouter";

import { ApiError, type RespaldoDetalle } from "../api/client";
import { useApi } from "../api/context";
import { useCancelar, useCrear, useFollowed, useMadeSince, useRespaldo } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { count, megabytes, seconds } from "../text/format";
import { sentence } from "../text/sentence";
import { remedy } from "../text/words";
import { Notice } from "../ui/Notice";
import { OwnPage } from "../ui/ownPage";
import { Progress } from "../ui/Progress";
import { Failure, Loading } from "../ui/states";
import { usePageTitle } from "../ui/usePageTitle";
import { Avisos } from "./Avisos";
import { Failed, Retrying } from "./Failed";

const LONGEST = 500;

/** Asks for a backup, and stays with it to its end. Its number is in the address, so that a reload goes on. */
export default function CrearRespaldo() {
  usePageTitle("Crear respaldo");
  const { clinica } = useClinic();
  const [params, setParams] = useSearchParams();
  const asked = Number(params.get("respaldo"));
  const goOn = (id: number | null) => setParams(id === null ? {} : { respaldo: String(id) }, { replace: true });
  return (
    <div className="page narrow">
      <h1>Crear un respaldo</h1>
      {clinica.puede_administrar ? (
        Number.isInteger(asked) && asked > 0 ? (
          <Followed key={asked} id={asked} again={() => goOn(null)} />
        ) : (
          <Request created={goOn} />
        )
      ) : (
        <Notice tone="plain">Solo quien administra la clínica puede crear respaldos.</Notice>
      )}
    </div>
  );
}

function Request({ created }: { created: (id: number) => void }) {
  const { scope } = useApi();
  const client = useQueryClient();
  const { clinica } = useClinic();
  const own = useContext(OwnPage);
  const [descripcion, setDescripcion] = useState("");
  const crear = useCrear();
  const running = crear.error instanceof ApiError && crear.error.codigo === "operacion_en_curso";
  const unknown = useLostBackup(crear, created);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (!crear.isPending && !unknown) {
      crear.mutate(descripcion.trim(), {
        onSuccess: ({ respaldo }) => {
          client.setQueryData([scope, "respaldos", respaldo.id], respaldo);
          created(respaldo.id);
        },
      });
    }
  }

  return (
    <form className="card stack" onSubmit={submit}>
      <p>
        Guarda ahora todo lo de <strong>{clinica.nombre ?? "su clínica"}</strong>: pacientes, historiales, facturas y
        todo lo demás. Puede seguir trabajando mientras se hace.
      </p>
      <label className="field">
        <span>
          Para qué es <span className="muted">(si quiere; le ayudará a encontrarlo)</span>
        </span>
        <input
          value={descripcion}
          maxLength={LONGEST}
          placeholder="Por ejemplo: antes de cambiar los precios"
          onChange={(event) => setDescripcion(event.target.value)}
          autoFocus={own}
        />
      </label>
      {crear.error === null ? null : (
        <Notice tone="bad" alert>
          {sentence(crear.error.message)}{" "}
          {running ? (
            <Link href="/respaldos?estado=procesando">Ver el que está en curso</Link>
          ) : unknown ? (
            "No se sabe si se alcanzó a pedir: se mira apenas vuelva a responder."
          ) : (
            "No se creó ninguno."
          )}
        </Notice>
      )}
      <button className="button primary" aria-disabled={crear.isPending || unknown}>
        {crear.isPending ? "Pidiéndolo…" : "Crear respaldo"}
      </button>
    </form>
  );
}

/**
 * Where the answer to the request was lost, looks whether it arrived, and goes on with that backup if so.
 *
 * Returns whether that is not known yet.
 */
function useLostBackup({ error, context }: ReturnType<typeof useCrear>, created: (id: number) => void): boolean {
  const lost = error instanceof ApiError && error.offline ? (context ?? null) : null;
  // Once the service is back, it is asked again by itself.
  const found = useMadeSince(lost?.before ?? null);
  useEffect(() => {
    if (lost !== null && found != null) {
      created(found.id);
    }
  }, [lost, found, created]);
  return lost !== null && found === undefined;
}

function Followed({ id, again }: { id: number; again: () => void }) {
  const { data: respaldo, error, refetch } = useRespaldo(id);
  const moment = useFollowed(respaldo);
  const cancelar = useCancelar();
  if (respaldo === undefined) {
    return error === null ? <Loading what="Buscando el respaldo…" /> : <Failure heading="h2" error={error} retry={refetch} />;
  }
  const estado = moment?.estado ?? respaldo.estado;
  if (respaldo.estado === "completado" || respaldo.estado === "fallido" || respaldo.estado === "cancelado") {
    return <Ended respaldo={respaldo} again={again} />;
  }
  return (
    <section className="card stack" aria-label="Cómo avanza">
      <Progress
        progreso={moment?.progreso ?? respaldo.progreso}
        waiting={estado === "pendiente" ? "Empezará en un momento" : "Preparando"}
      />
      <Retrying respaldo={respaldo} />
      <p className="muted">Puede salir de esta página: el respaldo sigue haciéndose.</p>
      {cancelar.error === null ? null : <Notice tone="bad">{cancelar.error.message}</Notice>}
      <button
        type="button"
        className="button"
        aria-disabled={cancelar.isPending || cancelar.isSuccess}
        onClick={() => cancelar.mutate(id)}
      >
        {cancelar.isSuccess ? "Cancelando…" : "Cancelar el respaldo"}
      </button>
    </section>
  );
}

function Ended({ respaldo, again }: { respaldo: RespaldoDetalle; again: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const good = respaldo.estado === "completado";
  useEffect(() => heading.current?.focus(), []);
  return (
    <section className={`card stack ended ${good ? "good" : respaldo.estado === "fallido" ? "bad" : "plain"}`}>
      <h2 ref={heading} tabIndex={-1}>
        {good ? "Listo: sus datos están guardados" : respaldo.estado === "fallido" ? "El respaldo falló" : "El respaldo se canceló"}
      </h2>
      {good ? (
        <p>
          {count(respaldo.numero_registros, "registro", "registros")}, {megabytes(respaldo.tamaño_mb)}, en{" "}
          {seconds(respaldo.tiempo_ejecucion_segundos)}. El archivo se leyó de vuelta y coincide con lo guardado.
        </p>
      ) : respaldo.estado === "fallido" ? (
        <Failed respaldo={respaldo} />
      ) : (
        <>
          <p>{remedy(respaldo.metadata["error_type"])}</p>
          <p className="muted">Sus datos y los respaldos anteriores siguen como estaban.</p>
        </>
      )}
      <Avisos avisos={respaldo.metadata.avisos} />
      <div className="actions">
        <Link href={`/respaldos/${respaldo.id}`} className="button primary">
          Ver este respaldo
        </Link>
        <button type="button" className="button" onClick={again}>
          {good ? "Crear otro" : "Volver a intentarlo"}
        </button>
      </div>
    </section>
  );
}
