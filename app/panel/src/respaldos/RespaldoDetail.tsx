import { Fragment, useState } from "react";
import { Link, useLocation, useSearchParams } from "wouter";

import type { Evento, Respaldo, RespaldoDetalle, Restauracion } from "../api/client";
import { useApi } from "../api/context";
import {
  useAceptar,
  useAnterior,
  useCancelar,
  useConstancia,
  useDescargar,
  useEventos,
  useFollowed,
  useRespaldo,
  useRestauraciones,
} from "../api/queries";
import { useClinic } from "../shell/clinic";
import { namedIn, scopeOf } from "../restore/scope";
import { ago, bytes, count, megabytes, percent, seconds } from "../text/format";
import { ESTADO, hecho, MODO, PROFUNDIDAD, TIPO } from "../text/words";
import { Badge } from "../ui/Badge";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { Progress } from "../ui/Progress";
import { Failure, Loading } from "../ui/states";
import { useToast } from "../ui/toast";
import { useNow } from "../ui/useNow";
import { usePageTitle } from "../ui/usePageTitle";
import { Avisos } from "./Avisos";
import { CheckDialog } from "./Check";
import { Compared } from "./Compared";
import { ConfirmDelete } from "./Confirm";
import { ExportDialog, Exports } from "./Exports";
import { Failed, Retrying } from "./Failed";
import { Held, HoldDialog } from "./Hold";
import { ModelBars } from "./ModelBars";

/** Everything that is known of one backup. */
export default function RespaldoDetail({ id }: { id: number }) {
  usePageTitle(`Respaldo ${id}`);
  const { data: respaldo, error, refetch } = useRespaldo(id);
  const moment = useFollowed(respaldo);
  if (respaldo === undefined) {
    return (
      <div className="page">
        <Back />
        {error === null ? <Loading what="Abriendo el respaldo…" /> : <Failure error={error} retry={refetch} />}
      </div>
    );
  }
  const runs = respaldo.estado === "pendiente" || respaldo.estado === "procesando";
  return (
    <div className="page">
      <Back />
      <Head respaldo={respaldo} />
      {runs ? (
        <section className="card">
          <Progress
            progreso={moment?.progreso ?? respaldo.progreso}
            waiting={respaldo.estado === "pendiente" ? "Empezará en un momento" : "Preparando"}
          />
        </section>
      ) : null}
      <Retrying respaldo={respaldo} />
      <Warnings respaldo={respaldo} />
      <Held respaldo={respaldo} />
      <Exports respaldoId={id} />
      {respaldo.estado === "completado" ? (
        <div className="columns">
          <Contents respaldo={respaldo} />
          <div className="stack">
            <File respaldo={respaldo} />
            <Checks respaldo={respaldo} />
            <Trail id={id} />
          </div>
        </div>
      ) : (
        <Trail id={id} />
      )}
    </div>
  );
}

function Back() {
  return (
    <Link href="/respaldos" className="back">
      <Icon name="left" /> Todos los respaldos
    </Link>
  );
}

function Head({ respaldo }: { respaldo: RespaldoDetalle }) {
  const { clinica, clock } = useClinic();
  const now = useNow();
  const [, navigate] = useLocation();
  const [search] = useSearchParams();
  const [asked, setAsked] = useState<"check" | "delete" | "export" | "decrypted" | "hold" | null>(
    search.has("descargar") && respaldo.puede_restaurar ? "decrypted" : null,
  );
  const descargar = useDescargar();
  const cancelar = useCancelar();
  const constancia = useConstancia();
  const toast = useToast();
  const refuse = { onError: (error: Error) => toast({ tone: "bad", text: error.message }) };
  const { word, tone } = respaldo.sospechoso ? { word: "Revisar", tone: "warn" as const } : ESTADO[respaldo.estado];
  const runs = respaldo.estado === "pendiente" || respaldo.estado === "procesando";
  return (
    <header className="detail-head">
      <div>
        <h1>Respaldo del {clock.full(respaldo.fecha_respaldo)}</h1>
        <p className="muted">
          <Badge tone={tone}>{word}</Badge> Número {respaldo.id} · {ago(respaldo.fecha_respaldo, now)} ·{" "}
          {TIPO[respaldo.tipo_respaldo]}
          {respaldo.usuario_nombre === null ? "" : ` (${respaldo.usuario_nombre})`}
        </p>
        {respaldo.descripcion === "" ? null : <p>{respaldo.descripcion}</p>}
        {respaldo.sin_cambios_desde === null ? null : (
          <p className="muted">
            Está {clock.unchanged(respaldo.sin_cambios_desde, respaldo.fecha_respaldo)} (número{" "}
            {respaldo.respaldo_base_id}). Su archivo es el mismo, guardado una sola vez.
          </p>
        )}
      </div>
      {clinica.puede_administrar ? (
        <div className="actions">
          {respaldo.puede_restaurar ? (
            <>
              <Link href={`/respaldos/${respaldo.id}/restaurar`} className="button primary">
                <Icon name="restore" /> Restaurar
              </Link>
              <button
                type="button"
                className="button"
                onClick={() => (respaldo.cifrado ? setAsked("decrypted") : descargar.mutate(respaldo.id, refuse))}
              >
                <Icon name="download" /> Descargar
              </button>
              <button type="button" className="button" onClick={() => setAsked("export")}>
                <Icon name="table" /> Exportar
              </button>
              <button
                type="button"
                className="button"
                disabled={constancia.isPending}
                onClick={() => constancia.mutate({ de: "respaldo", id: respaldo.id }, refuse)}
              >
                <Icon name="download" /> {constancia.isPending ? "Emitiendo…" : "Constancia"}
              </button>
              <button type="button" className="button" onClick={() => setAsked("check")}>
                <Icon name="shield" /> Comprobar
              </button>
              {respaldo.retenido === null ? (
                <button type="button" className="button" onClick={() => setAsked("hold")}>
                  <Icon name="lock" /> Retener
                </button>
              ) : null}
            </>
          ) : null}
          {runs ? (
            <button type="button" className="button" onClick={() => cancelar.mutate(respaldo.id, refuse)}>
              Cancelar
            </button>
          ) : respaldo.retenido === null ? (
            <button type="button" className="button" onClick={() => setAsked("delete")}>
              <Icon name="trash" /> Eliminar
            </button>
          ) : null}
        </div>
      ) : null}
      {asked === "check" ? <CheckDialog id={respaldo.id} onClose={() => setAsked(null)} /> : null}
      {asked === "hold" ? <HoldDialog id={respaldo.id} onClose={() => setAsked(null)} /> : null}
      {asked === "export" || asked === "decrypted" ? (
        <ExportDialog
          id={respaldo.id}
          initial={asked === "decrypted" ? "json" : "excel"}
          onClose={() => setAsked(null)}
        />
      ) : null}
      {asked === "delete" ? (
        <ConfirmDelete respaldo={respaldo} onClose={() => setAsked(null)} onDeleted={() => navigate("/respaldos")} />
      ) : null}
    </header>
  );
}

function Warnings({ respaldo }: { respaldo: RespaldoDetalle }) {
  const { clinica, clock } = useClinic();
  const aceptar = useAceptar();
  const toast = useToast();
  const { metadata, verificado, estado } = respaldo;
  return (
    <>
      {estado === "fallido" ? (
        <section className="card stack ended bad">
          <h2>El respaldo falló</h2>
          <Failed respaldo={respaldo} />
          {clinica.puede_administrar ? (
            <div className="actions">
              <Link href="/respaldos/nuevo" className="button primary">
                Volver a intentarlo
              </Link>
            </div>
          ) : null}
        </section>
      ) : null}
      {respaldo.clave_destruida === null ? null : (
        <Notice tone="bad">
          <strong>Nadie puede leer este respaldo:</strong> la clave con que se cifró se destruyó el{" "}
          {clock.full(respaldo.clave_destruida)}, porque dos personas lo decidieron. No cuenta como bueno.
        </Notice>
      )}
      {verificado?.error ? (
        <Notice tone="bad">
          <strong>La última comprobación falló:</strong> {verificado.error}. Este respaldo no cuenta como bueno.
        </Notice>
      ) : null}
      {respaldo.sospechoso ? (
        <Notice tone="warn">
          <p>
            <strong>Tiene mucho menos que el anterior.</strong> Hasta que alguien lo acepte no cuenta como bueno, y los
            anteriores se conservan. Si es normal, por ejemplo porque se borraron datos a propósito, acéptelo.
          </p>
          {clinica.puede_administrar ? (
            <button
              type="button"
              className="button"
              onClick={() =>
                aceptar.mutate(respaldo.id, {
                  onSuccess: () => toast({ tone: "good", text: "Ahora cuenta como un respaldo bueno." }),
                  onError: (error) => toast({ tone: "bad", text: error.message }),
                })
              }
            >
              Aceptar este respaldo
            </button>
          ) : null}
        </Notice>
      ) : null}
      <Avisos avisos={metadata.avisos} />
    </>
  );
}

function Contents({ respaldo }: { respaldo: RespaldoDetalle }) {
  const { clock } = useClinic();
  const { data: before } = useAnterior(respaldo);
  const { metadata } = respaldo;
  return (
    <section className="card" aria-labelledby="contenido-titulo">
      <h2 id="contenido-titulo">Qué contiene</h2>
      <p className="muted">
        {count(respaldo.numero_registros, "registro", "registros")}
        {before === undefined
          ? ""
          : before === null
            ? ". Es el primer respaldo."
            : sameCounts(metadata.detalles_registros, before.metadata.detalles_registros)
              ? ". De cada cosa, tantos como en "
              : ". Al lado, cuántos más o menos que en "}
        {before === undefined || before === null ? null : (
          <>
            <Link href={`/respaldos/${before.id}`}>el anterior, del {clock.full(before.fecha_respaldo)}</Link>.
          </>
        )}
      </p>
      <ModelBars counts={metadata.detalles_registros} before={before?.metadata.detalles_registros ?? null} />
      {before === undefined || before === null ? null : <Compared respaldo={respaldo} before={before} />}
    </section>
  );
}

function sameCounts(one: Record<string, number>, other: Record<string, number>): boolean {
  return [...Object.keys(one), ...Object.keys(other)].every((name) => (one[name] ?? 0) === (other[name] ?? 0));
}

function File({ respaldo }: { respaldo: RespaldoDetalle }) {
  const { clock } = useClinic();
  const { metadata } = respaldo;
  return (
    <section className="card" aria-labelledby="archivo">
      <h2 id="archivo">El archivo</h2>
      <dl className="facts">
        <dt>Tamaño</dt>
        <dd>{bytes(respaldo.tamaño_bytes)}</dd>
        <dt>Sin comprimir</dt>
        <dd>
          {megabytes(metadata.tamaño_original_mb)} (ocupa {percent(metadata.compresion_porcentaje)} menos)
        </dd>
        {respaldo.tiempo_ejecucion === null ? null : (
          <>
            <dt>Tardó</dt>
            <dd>{seconds(respaldo.tiempo_ejecucion_segundos)}</dd>
          </>
        )}
        <dt>Cifrado</dt>
        <dd>
          {respaldo.clave_destruida !== null
            ? "Sí, y su clave se destruyó"
            : respaldo.cifrado
              ? "Sí, con una clave que es solo de esta clínica"
              : "No"}
        </dd>
        {respaldo.copias.map((copia) => (
          <Fragment key={copia.destino}>
            <dt>Copia en «{copia.destino}»</dt>
            <dd>
              {copia.estado_display}
              {copia.estado === "completa" ? `, ${clock.full(copia.fecha)}` : ""}
            </dd>
          </Fragment>
        ))}
        {respaldo.solo_en_copia === null ? null : (
          <>
            <dt>Original</dt>
            <dd>Falta o está dañado: se usa la copia</dd>
          </>
        )}
        <dt>Nombre</dt>
        <dd className="code">{respaldo.archivo_s3?.split("/").at(-1)}</dd>
        {respaldo.hash_md5 === null ? null : (
          <>
            <dt>Huella (MD5)</dt>
            <dd>
              <Copied text={respaldo.hash_md5} />
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

function Copied({ text }: { text: string }) {
  const toast = useToast();
  return (
    <span className="copied">
      <span className="code">{text}</span>
      <button
        type="button"
        className="icon-button"
        aria-label="Copiar la huella"
        title="Copiar"
        onClick={() => {
          navigator.clipboard.writeText(text).then(
            () => toast({ tone: "good", text: "Se copió la huella." }),
            () => toast({ tone: "bad", text: "El navegador no dejó copiar; selecciónela y cópiela a mano." }),
          );
        }}
      >
        <Icon name="copy" />
      </button>
    </span>
  );
}

function Checks({ respaldo }: { respaldo: Respaldo }) {
  const { data, error } = useRestauraciones(respaldo.id);
  return (
    <section className="card" aria-labelledby="comprobaciones">
      <h2 id="comprobaciones">Comprobaciones y restauraciones</h2>
      <ul className="timeline">
        {data?.entries
          .filter(({ tipo }) => tipo !== "comparacion")
          .map((each) => <Check key={each.id} found={each} />)}
        <li>
          <Icon name="check" />
          <div>
            <strong>Leído de vuelta al guardarlo</strong>
            <span className="muted small">
              {respaldo.sin_cambios_desde === null
                ? "Todo el archivo coincidió con lo guardado."
                : "Eso fue con el respaldo del que es el archivo; al hacer este se miró que siguiera ahí."}
            </span>
          </div>
        </li>
      </ul>
      {error === null ? null : <Notice tone="bad">{error.message}</Notice>}
    </section>
  );
}

function Check({ found }: { found: Restauracion }) {
  const { clinica, clock } = useClinic();
  const now = useNow();
  const runs = found.estado === "pendiente" || found.estado === "procesando";
  const bad = found.estado === "fallido";
  const name =
    found.tipo === "restauracion"
      ? found.simulada
        ? "Vista previa de restaurar"
        : "Restauración"
      : found.profundidad === null
        ? "Comprobación"
        : `Comprobación: ${PROFUNDIDAD[found.profundidad].word.toLowerCase()}`;
  return (
    <li className={bad ? "bad" : undefined}>
      <Icon name={runs ? "clock" : bad ? "cross" : "check"} />
      <div>
        <strong>{name}</strong>
        {runs ? (
          <Progress compact progreso={found.progreso} waiting="En espera" />
        ) : (
          <span className="muted small" title={clock.full(found.fecha_fin ?? found.fecha_creacion)}>
            {found.modelos === null && found.registros === null ? "" : `${scopeOf(found)}. `}
            {found.tipo === "restauracion" ? `${MODO[found.modo].word}. ` : ""}
            {bad ? "Falló" : "Salió bien"}, {ago(found.fecha_fin ?? found.fecha_creacion, now)}
          </span>
        )}
        {found.motivo === null ? null : <span className="small">Por qué: {found.motivo}</span>}
        {found.error === null ? null : <span className="small">{found.error}</span>}
        {found.tipo === "restauracion" && !found.simulada && clinica.puede_administrar ? (
          <Link href={`/respaldos/${found.respaldo_id}/restaurar?restauracion=${found.id}`} className="small">
            Ver el resultado
          </Link>
        ) : null}
      </div>
    </li>
  );
}

/** The records that a line names, where it does. */
function Named({ detalle }: { detalle: Evento["detalle"] }) {
  const records = namedIn(detalle);
  return records === null ? null : <span className="small">{records}</span>;
}

function Trail({ id }: { id: number }) {
  const { clinica, clock } = useClinic();
  const { persona } = useApi();
  const { data, error } = useEventos(id, clinica.puede_administrar);
  if (!clinica.puede_administrar) {
    return null;
  }
  const who = (evento: Evento): string => {
    if (evento.usuario === null) {
      return "El servicio";
    }
    if (evento.usuario === persona) {
      return "Usted";
    }
    if (evento.usuario_nombre !== null) {
      return evento.usuario_nombre;
    }
    // The platform's own people are known by their e-mail.
    return evento.usuario.includes("@") ? evento.usuario : `Usuario ${evento.usuario}`;
  };
  return (
    <section className="card" aria-labelledby="quien">
      <h2 id="quien">Quién hizo qué</h2>
      {error === null ? null : <Notice tone="bad">{error.message}</Notice>}
      <ul className="timeline">
        {data?.entries.map((evento) => (
          <li key={evento.id}>
            <Icon name="person" />
            <div>
              <span>
                <strong>{who(evento)}</strong> {hecho(evento)}
              </span>
              <Named detalle={evento.detalle} />
              <span className="muted small">
                {clock.full(evento.fecha)}
                {evento.direccion === null ? "" : ` · desde ${evento.direccion}`}
              </span>
            </div>
          </li>
        ))}
        {data?.entries.length === 0 ? <li className="muted">Nadie más que el servicio.</li> : null}
      </ul>
    </section>
  );
}
