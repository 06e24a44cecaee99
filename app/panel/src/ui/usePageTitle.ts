import { useContext, useEffect } from "react";

import { OwnPage } from "./ownPage";

/** Names the page in the tab and to screen readers. */
export function usePageTitle(title: string): void {
  const own = useContext(OwnPage);
  useEffect(() => {
    if (own) {
      document.title = `${title} · Respaldos`;
    }
  }, [own, title]);
}
