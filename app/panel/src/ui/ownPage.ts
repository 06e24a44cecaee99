import { createContext } from "react";

/** Whether the browser's whole page is ours: then it has our title, and a first field may take the focus. */
export const OwnPage = createContext(true);
