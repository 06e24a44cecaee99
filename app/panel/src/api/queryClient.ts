import { QueryClient } from "@tanstack/react-query";

import { ApiError } from "./client";

/** What keeps the service's answers. */
export function newQueryClient(): QueryClient {
  return new QueryClient({
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
}
