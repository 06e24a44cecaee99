import "./styles.css";

import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Router } from "wouter";

import { onReconnect } from "./api/connection";
import { newQueryClient } from "./api/queryClient";
import { App } from "./App";
import { SessionProvider } from "./session/context";
import { ToastProvider } from "./ui/toast";

const client = newQueryClient();
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
