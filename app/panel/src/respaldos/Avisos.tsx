import { count } from "../text/format";

/** What whoever runs the service should know of how the backup was made; for others it is closed. */
export function Avisos({ avisos }: { avisos: string[] }) {
  if (avisos.length === 0) {
    return null;
  }
  return (
    <details className="card">
      <summary>{count(avisos.length, "aviso", "avisos")} para quien administra el servicio</summary>
      <ul>
        {avisos.map((aviso) => (
          <li key={aviso}>{aviso}</li>
        ))}
      </ul>
    </details>
  );
}
