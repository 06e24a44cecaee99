import { useEffect, useState } from "react";

const EVERY = 20_000;

/** The time, often enough for «hace 3 minutos» to be true (milliseconds since 1970). */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), EVERY);
    return () => clearInterval(timer);
  }, []);
  return now;
}
