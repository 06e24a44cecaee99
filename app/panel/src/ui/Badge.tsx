import type { Tone } from "../text/words";
import { Icon, type IconName } from "./Icon";

const ICON: Record<Tone, IconName> = { good: "check", warn: "alert", bad: "cross", busy: "clock", plain: "minus" };

/** A state, in words, with a colour and a sign of its own. */
export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className={`badge ${tone}`}>
      <Icon name={ICON[tone]} />
      {children}
    </span>
  );
}
