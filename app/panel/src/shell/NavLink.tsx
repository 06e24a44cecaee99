import type { ReactNode } from "react";
import { Link, useRoute } from "wouter";

interface NavLinkProps {
  href: string;
  /** Whether the pages below it are others'. */
  exact?: boolean;
  children: ReactNode;
}

/** The way to a page, which says where one is. */
export function NavLink({ href, exact = false, children }: NavLinkProps) {
  const [same] = useRoute(href);
  const [below] = useRoute(`${href}/*?`);
  const [creating] = useRoute("/respaldos/nuevo");
  const here = same || (!exact && below && !creating);
  return (
    <Link href={href} aria-current={here ? "page" : undefined}>
      {children}
    </Link>
  );
}
