import { count } from "../text/format";
import { Notice } from "../ui/Notice";

/** So many stand open; a release of the clinic's system may bring dozens. */
const OPEN = 3;

/** What a person should know of a restore beside its numbers; the service puts first what matters most. */
export function Said({ avisos }: { avisos: string[] }) {
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
