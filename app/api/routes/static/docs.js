"use strict";

SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
  // The token stays in this tab's memory, never on disk.
  persistAuthorization: false,
  syntaxHighlight: { activated: true },
});
