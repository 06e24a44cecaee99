"use strict";

SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
  // Over a reload; it is in this origin's localStorage until «Logout».
  persistAuthorization: true,
  syntaxHighlight: { activated: true },
});
