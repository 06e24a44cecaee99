import type { ReactNode } from "react";

import type { Tone } from "../text/words";
import { Icon, type IconName } from "./Icon";

const ICON: Record<Tone, IconName> = { good: "check", warn: "alert", bad: "alert", busy: "clock", plain: "clock" };

/** A sentence that stands out; `alert` has it read out at once, otherwise when there is a pause. */
export function Notice({ tone, alert = false, children }: { tone: Tone; alert?: boolean; children: ReactNode }) {
  return (
    <div className={`notice ${tone}`} role={alert ? "alert" : "status"}>
      <Icon name={ICON[tone]} />
      <div>{children}</div>
    </div>
  );
}
