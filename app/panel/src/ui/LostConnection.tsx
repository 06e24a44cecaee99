import { useLostConnection } from "../api/connection";
import { Notice } from "./Notice";

/** Says that the service does not answer, while it does not. */
export function LostConnection() {
  return useLostConnection() ? (
    <div className="band">
      <Notice tone="warn">
        Sin conexión con el servicio: lo que ve puede no ser lo último. Se vuelve a intentar solo.
      </Notice>
    </div>
  ) : null;
}
