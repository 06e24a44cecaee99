import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useMemo, useRef, useState, type RefObject } from "react";
import { Link, useSearchParams } from "wouter";

import type { Orden, Respaldo } from "../api/client";
import { PAGE, useDescargar, useFollowed, useRespaldos, type Filtros } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { ago, bytes, count, number } from "../text/format";
import { ESTADO, PROFUNDIDAD, TIPO } from "../text/words";
import { Badge } from "../ui/Badge";
import { Icon } from "../ui/Icon";
import { Progress } from "../ui/Progress";
import { Empty, Failure } from "../ui/states";
import { useToast } from "../ui/toast";
import { useNow } from "../ui/useNow";
import { usePageTitle } from "../ui/usePageTitle";
import { CheckDialog } from "./Check";
import { ConfirmDelete } from "./Confirm";
import { Filters } from "./Filters";
import { fromAddress, toAddress } from "./filters";
import { useTakeBack } from "./useTakeBack";

/** How high an entry is until the style sheet has said so (px). */
const LINE = 60;

/** Columns, and how each is sorted; the first order is that of the first click. */
const COLUMNS: { name: string; orders?: [Orden, Orden]; figure?: boolean }[] = [
  { name: "Estado" },
  { name: "Cuándo", orders: ["-fecha_respaldo", "fecha_respaldo"] },
  { name: "Tipo" },
  { name: "Tamaño", orders: ["-tamaño_bytes", "tamaño_bytes"], figure: true },
  { name: "Registros", orders: ["-numero_registros", "numero_registros"], figure: true },
  { name: "Comprobado" },
  { name: "Qué hacer" },
];

type Asked = { what: "check" | "delete"; respaldo: Respaldo } | null;

/** A clinic's backups: filters and order are in the address, and only what is in sight is fetched and drawn. */
export default function RespaldosList() {
  usePageTitle("Respaldos");
  const [params, setParams] = useSearchParams();
  const filtros = useMemo(() => fromAddress(params), [params]);
  const set = (changed: Filtros) => setParams(toAddress({ ...filtros, ...changed }), { replace: true });
  const [asked, setAsked] = useState<Asked>(null);
  const filtered = Object.entries(filtros).some(([name, value]) => name !== "orden" && value !== undefined);
  return (
    <div className="page">
      <div className="page-head">
        <h1>Respaldos</h1>
      </div>
      <Filters filtros={filtros} set={set} />
      <Table filtros={filtros} set={set} filtered={filtered} ask={setAsked} />
      {asked?.what === "check" ? <CheckDialog id={asked.respaldo.id} onClose={() => setAsked(null)} /> : null}
      {asked?.what === "delete" ? <ConfirmDelete respaldo={asked.respaldo} onClose={() => setAsked(null)} /> : null}
    </div>
  );
}

interface TableProps {
  filtros: Filtros;
  set: (changed: Filtros) => void;
  filtered: boolean;
  ask: (asked: Asked) => void;
}

function Table({ filtros, set, filtered, ask }: TableProps) {
  const { clinica } = useClinic();
  const [sized, height] = useHeight();
  const body = useRef<HTMLDivElement>(null);
  const [pages, setPages] = useState([0]);
  const { at, total, error, busy, refetch } = useRespaldos(filtros, pages);
  const virtual = useWindowVirtualizer({
    count: total ?? 0,
    estimateSize: () => height,
    overscan: 8,
    observeElementOffset: (_, moved) => observeTop(body, moved),
  });
  useEffect(() => virtual.measure(), [virtual, height]);
  const items = virtual.getVirtualItems();
  const first = Math.floor((items[0]?.index ?? 0) / PAGE);
  const last = Math.floor((items.at(-1)?.index ?? 0) / PAGE);
  useEffect(() => setPages(Array.from({ length: last - first + 1 }, (_, place) => first + place)), [first, last]);
  const running = items.map(({ index }) => at(index)).find((each) => each?.estado === "procesando" || each?.estado === "pendiente");
  const moment = useFollowed(running);

  if (error !== null && total === undefined) {
    return <Failure heading="h2" error={error} retry={refetch} />;
  }
  if (total === 0) {
    return filtered ? (
      <Empty heading="h2" icon="clock" title="Ningún respaldo es así">
        {filtros.desde !== undefined && filtros.hasta !== undefined && filtros.desde > filtros.hasta ? (
          <p>«Desde» es un día posterior a «Hasta».</p>
        ) : null}
        <Link href="/respaldos" className="button">
          Quitar los filtros
        </Link>
      </Empty>
    ) : (
      <Empty heading="h2" title="Todavía no hay respaldos">
        <p>
          {clinica.activa
            ? `El primero se hará esta noche, a las ${clinica.respaldo_diario}.`
            : "Esta clínica está inactiva: no se le hacen respaldos cada noche."}
        </p>
        {clinica.puede_administrar ? (
          <Link href="/respaldos/nuevo" className="button primary">
            Crear uno ahora
          </Link>
        ) : null}
      </Empty>
    );
  }
  return (
    <>
      <div ref={sized} className="entry-height" aria-hidden="true" />
      <p className="muted small" role="status">
        {total === undefined ? "Buscando sus respaldos…" : count(total, "respaldo", "respaldos")}
      </p>
      <div className="table" role="table" aria-label="Respaldos" aria-rowcount={(total ?? 0) + 1} aria-busy={busy}>
        <div role="rowgroup">
          <div className="row head" role="row" aria-rowindex={1}>
            {COLUMNS.map((column) => (
              <Heading key={column.name} column={column} orden={filtros.orden ?? "-fecha_respaldo"} set={set} />
            ))}
          </div>
        </div>
        <div ref={body} role="rowgroup" className="rows" style={{ height: total === undefined ? height * 5 : virtual.getTotalSize() }}>
          {total === undefined ? <Skeletons /> : null}
          {items.map(({ index, start }) => {
            const respaldo = at(index);
            return (
              <div
                key={index}
                role="row"
                className="row"
                aria-rowindex={index + 2}
                style={{ height, transform: `translateY(${start}px)` }}
              >
                {respaldo === undefined ? (
                  <span className="skeleton" role="cell">
                    <span className="vh">Cargando</span>
                  </span>
                ) : (
                  <Entry
                    respaldo={respaldo}
                    moment={moment?.id === respaldo.id ? moment : null}
                    administers={clinica.puede_administrar}
                    deleted={filtros.eliminados !== undefined}
                    ask={ask}
                  />
                )}
              </div>
            );
          })}
        </div>
      </div>
    </>
  );
}

function Skeletons() {
  return (
    <div role="row">
      <span role="cell" className="vh">
        Cargando
      </span>
      {[0, 1, 2, 3, 4].map((each) => (
        <span key={each} className="skeleton" />
      ))}
    </div>
  );
}

interface HeadingProps {
  column: (typeof COLUMNS)[number];
  orden: Orden;
  set: (changed: Filtros) => void;
}

function Heading({ column: { name, orders, figure }, orden, set }: HeadingProps) {
  if (orders === undefined) {
    return (
      <span role="columnheader">
        <span>{name}</span>
      </span>
    );
  }
  const [down, up] = orders;
  const sorted = orden === down ? "descending" : orden === up ? "ascending" : "none";
  return (
    <span role="columnheader" aria-sort={sorted} className={figure ? "figure" : undefined}>
      <button type="button" className="sort" onClick={() => set({ orden: orden === down ? up : down })}>
        {name}
        {sorted === "none" ? null : <Icon name={sorted === "ascending" ? "up" : "down"} />}
      </button>
    </span>
  );
}

interface EntryProps {
  respaldo: Respaldo;
  moment: { estado: Respaldo["estado"]; progreso: Record<string, unknown> | null } | null;
  administers: boolean;
  deleted: boolean;
  ask: (asked: Asked) => void;
}

function Entry({ respaldo, moment, administers, deleted, ask }: EntryProps) {
  const { clock } = useClinic();
  const now = useNow();
  const descargar = useDescargar();
  const toast = useToast();
  const estado = moment?.estado ?? respaldo.estado;
  const runs = estado === "pendiente" || estado === "procesando";
  const { word, tone } = respaldo.sospechoso ? { word: "Revisar", tone: "warn" as const } : ESTADO[estado];
  const title = `respaldo ${respaldo.id}`;
  return (
    <>
      <span role="cell" className="c-estado">
        {runs ? (
          <Progress compact progreso={moment?.progreso} waiting={ESTADO[estado].word} />
        ) : (
          <Badge tone={tone}>{word}</Badge>
        )}
      </span>
      <span role="cell" className="c-cuando">
        {deleted ? (
          clock.full(respaldo.fecha_respaldo)
        ) : (
          <Link href={`/respaldos/${respaldo.id}`}>{clock.full(respaldo.fecha_respaldo)}</Link>
        )}
        <span className="muted small">{ago(respaldo.fecha_respaldo, now)}</span>
      </span>
      <span role="cell" className="c-tipo">
        <span>{TIPO[respaldo.tipo_respaldo]}</span>
        {respaldo.descripcion === "" ? null : (
          <span className="muted small clip" title={respaldo.descripcion}>
            {respaldo.descripcion}
          </span>
        )}
        {respaldo.retenido === null ? null : (
          <span className="small clip" title={respaldo.retenido.motivo}>
            retenido: {respaldo.retenido.motivo}
          </span>
        )}
        {respaldo.sin_cambios_desde === null ? null : (
          <span
            className="muted small clip"
            title={clock.unchanged(respaldo.sin_cambios_desde, respaldo.fecha_respaldo)}
          >
            sin cambios desde {clock.since(respaldo.sin_cambios_desde, respaldo.fecha_respaldo)}
          </span>
        )}
      </span>
      <span role="cell" className="c-size figure">
        {respaldo.tamaño_bytes === 0 ? <span className="muted">—</span> : bytes(respaldo.tamaño_bytes)}
      </span>
      <span role="cell" className="c-records figure">
        {respaldo.estado === "completado" ? (
          <>
            {number(respaldo.numero_registros)} <span className="only-narrow">registros</span>
          </>
        ) : (
          <span className="muted">—</span>
        )}
      </span>
      <span role="cell" className="c-proof">
        <Proof respaldo={respaldo} now={now} />
      </span>
      <span role="cell" className="c-actions">
        {administers && deleted ? <TakeBack id={respaldo.id} /> : null}
        {administers && respaldo.puede_restaurar ? (
          <>
            <Link
              href={`/respaldos/${respaldo.id}/restaurar`}
              className="icon-button"
              aria-label={`Restaurar el ${title}`}
              title="Restaurar"
            >
              <Icon name="restore" />
            </Link>
            {respaldo.cifrado ? (
              <Link
                href={`/respaldos/${respaldo.id}?descargar`}
                className="icon-button"
                aria-label={`Descargar el ${title}`}
                title="Descargar"
              >
                <Icon name="download" />
              </Link>
            ) : (
              <button
                type="button"
                className="icon-button"
                aria-label={`Descargar el ${title}`}
                title="Descargar"
                onClick={() => descargar.mutate(respaldo.id, { onError: (error) => toast({ tone: "bad", text: error.message }) })}
              >
                <Icon name="download" />
              </button>
            )}
            <button
              type="button"
              className="icon-button"
              aria-label={`Comprobar el ${title}`}
              title="Comprobar"
              onClick={() => ask({ what: "check", respaldo })}
            >
              <Icon name="shield" />
            </button>
          </>
        ) : null}
        {administers && !runs && !deleted && respaldo.retenido === null ? (
          <button
            type="button"
            className="icon-button"
            aria-label={`Eliminar el ${title}`}
            title="Eliminar"
            onClick={() => ask({ what: "delete", respaldo })}
          >
            <Icon name="trash" />
          </button>
        ) : null}
      </span>
    </>
  );
}

function TakeBack({ id }: { id: number }) {
  const { takeBack, isPending } = useTakeBack();
  return (
    <button
      type="button"
      className="button"
      aria-label={`Recuperar el respaldo ${id}`}
      aria-disabled={isPending}
      onClick={() => (isPending ? undefined : takeBack(id))}
    >
      Recuperar
    </button>
  );
}

function Proof({ respaldo: { verificado, estado }, now }: { respaldo: Respaldo; now: number }) {
  if (estado !== "completado") {
    return <span className="muted">—</span>;
  }
  if (verificado === null) {
    return <span className="muted">Al guardarlo</span>;
  }
  if (verificado.error !== null) {
    return <Badge tone="bad">Falló</Badge>;
  }
  return (
    <>
      <span>{ago(verificado.fecha, now)}</span>
      {verificado.profundidad === null ? null : (
        <span className="muted small">{PROFUNDIDAD[verificado.profundidad].short}</span>
      )}
    </>
  );
}

/** Tells how far an element's top is above the window's, whatever is scrolled: in somebody else's page not the window. */
function observeTop(element: RefObject<HTMLElement | null>, moved: (pixels: number, scrolling: boolean) => void): () => void {
  const look = () => moved(-(element.current?.getBoundingClientRect().top ?? 0), false);
  look();
  window.addEventListener("scroll", look, { capture: true, passive: true });
  return () => window.removeEventListener("scroll", look, { capture: true });
}

/** For what stands for an entry: how high that is, now and whenever it changes (px). */
function useHeight(): [(element: HTMLElement | null) => (() => void) | undefined, number] {
  const [height, setHeight] = useState(LINE);
  const sized = useCallback((element: HTMLElement | null) => {
    if (element === null) {
      return undefined;
    }
    const look = () => setHeight(element.offsetHeight || LINE);
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [sized, height];
}
