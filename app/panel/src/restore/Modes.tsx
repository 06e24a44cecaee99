import type { Modo } from "../api/client";
import { MODO } from "../text/words";
import { Choice } from "../ui/Choice";

/** Asks how far a restore is to go with what differs today. */
export function Modes({ modo, set }: { modo: Modo; set: (modo: Modo) => void }) {
  return (
    <fieldset className="choices">
      <legend>¿Qué debe volver?</legend>
      {(Object.keys(MODO) as Modo[]).map((each) => (
        <Choice key={each} name="modo" value={each} now={modo} set={set} title={MODO[each].word} said={MODO[each].explained} />
      ))}
    </fieldset>
  );
}
