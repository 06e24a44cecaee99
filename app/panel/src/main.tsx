import "./styles.css";

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Router } from "wouter";

import { ApiError } from "./api/client";
import { onReconnect } from "./api/connection";
import { App } from "./App";
import { SessionProvider } from "./session/context";
import { ToastProvider } from "./ui/toast";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5000,
      // Whether the service is there, `connection` finds out; what else it refuses will not be otherwise at once.
      retry: (failures, error) => error instanceof ApiError && error.status === 503 && failures < 2,
      networkMode: "always",
    },
    mutations: { retry: false, networkMode: "always" },
  },
});
onReconnect(() => void client.invalidateQueries());

const element = document.getElementById("panel");
if (element !== null) {
  createRoot(element).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <Router base="/panel">
          <SessionProvider>
            <ToastProvider>
              <App />
            </ToastProvider>
          </SessionProvider>
        </Router>
      </QueryClientProvider>
    </StrictMode>,
  );
}
