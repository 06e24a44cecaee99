import { useEffect, useRef } from "react";
import { useLocation } from "wouter";

/** After following a link, a screen reader begins with the new page, as after loading one; `show` gets its top in sight. */
export function useFocusOnNewPage(main: () => HTMLElement | null, show: () => void): void {
  const [location] = useLocation();
  const before = useRef(location);
  useEffect(() => {
    if (before.current !== location) {
      before.current = location;
      show();
      const found = main();
      // A page may have given it to its first field, in which somebody types already.
      const focused = (found?.getRootNode() as Document | ShadowRoot | undefined)?.activeElement ?? null;
      if (!found?.contains(focused)) {
        found?.focus({ preventScroll: true });
      }
    }
  }, [location, main, show]);
}
