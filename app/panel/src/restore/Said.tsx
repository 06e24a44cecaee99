import { count } from "../text/format";
import { Notice } from "../ui/Notice";

/** So many stand open; a release of the clinic's system may bring dozens. */
const OPEN = 3;

/** How many records hang from those that were chosen, by their keys: what of it changes is shown by name. */
const WITH_ITS_OWN = /^con («.*»|los [0-9.,]+ registros pedidos) va lo que apunta /;

/** What a person should know of a restore beside its numbers; the service puts first what matters most. */
export function Said({ avisos: all }: { avisos: string[] }) {
  const avisos = all.filter((aviso) => !WITH_ITS_OWN.test(aviso));
  const more = avisos.slice(OPEN);
  return (
    <>
      {avisos.slice(0, OPEN).map((aviso) => (
        <Notice key={aviso} tone="warn">
          {aviso}
        </Notice>
      ))}
      {more.length === 0 ? null : (
        <details>
          <summary>{count(more.length, "aviso más", "avisos más")}</summary>
          <ul>
            {more.map((aviso) => (
              <li key={aviso}>{aviso}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
