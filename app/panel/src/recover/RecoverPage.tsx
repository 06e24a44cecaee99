import { useState } from "react";
import { useSearchParams } from "wouter";

import { useRespaldo, useRestauracion } from "../api/queries";
import { useSearch } from "../api/search";
import { Step } from "../restore/Step";
import { Steps } from "../restore/Steps";
import { useClinic } from "../shell/clinic";
import { count } from "../text/format";
import { Notice } from "../ui/Notice";
import { Empty, Failure, Loading } from "../ui/states";
import { usePageTitle } from "../ui/usePageTitle";
import { fromAddress, toAddress, type Wanted } from "./address";
import { Chosen } from "./Chosen";
import type { ChosenRecord } from "./record";
import { Results } from "./Results";
import { SearchForm } from "./SearchForm";
import { WholeBackup } from "./WholeBackup";

const STEPS = ["Buscar", "Elegir qué vuelve", "Ver qué cambia", "Recuperar"];

/**
 * Finds what was lost by what people call it, and gets it back.
 *
 * What is looked for, and the preview or restore that came of it, are in the address, so that a reload goes on.
 */
export default function RecoverPage() {
  usePageTitle("Recuperar datos");
  const { clinica } = useClinic();
  const [params, setParams] = useSearchParams();
  const wanted = fromAddress(params);
  const number = Number(params.get("restauracion"));
  const asked = Number.isInteger(number) && number > 0 ? number : null;
  const { search, error, again } = useSearch(
    clinica.puede_administrar && wanted.texto !== "" ? wanted.texto : null,
    wanted.dias,
  );
  const [chosen, setChosen] = useState<ChosenRecord[]>([]);
  const [decided, setDecided] = useState(false);
  const found = useRestauracion(asked).data;
  // The navigation leads here with nothing in the address: to another search, whatever was chosen before.
  const deciding = decided && chosen.length > 0 && wanted.texto !== "";
  const place = asked === null ? (deciding ? 1 : 0) : found === undefined || found.simulada ? 2 : 3;

  if (!clinica.puede_administrar) {
    return (
      <div className="page narrow">
        <h1>Recuperar datos</h1>
        <Notice tone="plain">Solo quien administra la clínica puede recuperar datos.</Notice>
      </div>
    );
  }

  function lookFor(next: Wanted) {
    setChosen([]);
    setDecided(false);
    if (next.texto === wanted.texto && next.dias === wanted.dias) {
      void again();
    } else {
      setParams(toAddress(next));
    }
  }

  /** Back to what was found, with nothing ticked: most of it is not as it was. */
  function anew() {
    setChosen([]);
    setDecided(false);
    setParams(toAddress(wanted));
    void again();
  }

  return (
    <div className="page narrow">
      <h1>Recuperar datos</h1>
      <Steps names={STEPS} place={place} />
      {asked !== null ? (
        <Asked
          id={asked}
          go={(next) => setParams(toAddress(wanted, next))}
          back={() => setParams(toAddress(wanted))}
          more={anew}
        />
      ) : deciding ? (
        <Chosen chosen={chosen} previewed={(id) => setParams(toAddress(wanted, id))} back={() => setDecided(false)} />
      ) : (
        <>
          <section className="card">
            <SearchForm key={params.toString()} wanted={wanted} search={lookFor} days />
          </section>
          {wanted.texto === "" ? null : (
            <Results
              search={search}
              error={error}
              dias={wanted.dias}
              again={() => void again()}
              chosen={chosen}
              setChosen={setChosen}
              only={(record) => {
                setChosen([record]);
                setDecided(true);
              }}
            />
          )}
          {chosen.length === 0 ? null : (
            <div className="picked" role="region" aria-label="Lo que marcó">
              <span role="status">{count(chosen.length, "registro marcado", "registros marcados")}</span>
              <button type="button" className="button primary" onClick={() => setDecided(true)}>
                Seguir
              </button>
            </div>
          )}
          <WholeBackup />
        </>
      )}
    </div>
  );
}

interface AskedProps {
  id: number;
  go: (next: number) => void;
  back: () => void;
  more: () => void;
}

/** The preview or restore of that number. */
function Asked({ id, go, back, more }: AskedProps) {
  const restauracion = useRestauracion(id);
  const found = restauracion.data;
  const respaldo = useRespaldo(found?.respaldo_id ?? null);
  const error = restauracion.error ?? respaldo.error;
  if (found !== undefined && found.tipo !== "restauracion") {
    return <Empty heading="h2" icon="alert" title="Esto no es una recuperación de datos" />;
  }
  if (found === undefined || respaldo.data === undefined) {
    return error === null ? (
      <Loading what="Buscando…" />
    ) : (
      <Failure heading="h2" error={error} retry={found === undefined ? restauracion.refetch : respaldo.refetch} />
    );
  }
  return (
    <Step key={`${found.id} ${found.estado}`} found={found} respaldo={respaldo.data} go={go} back={back} more={more} />
  );
}
