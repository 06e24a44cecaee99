import { useEffect, useState } from "react";

/** Between two letters of somebody who types (milliseconds). */
const PAUSE = 300;

/** What somebody types, once they stop: each letter would be a question to the service. */
export function useSettled(typed: string): string {
  const [settled, setSettled] = useState(typed);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(typed), PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  return settled;
}
