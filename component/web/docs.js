// Starts Swagger UI with the description of this service.
"use strict";

/** Names for screen readers, of controls to which Swagger UI gives none. */
const NAMES = {
  "#servers": "Server",
  ".body-param__text": "Request body",
  ".close-modal": "Close",
  ".copy-to-clipboard > button": "Copy",
  ".examples-select-element": "Example",
};

const isDark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", isDark.matches);
isDark.addEventListener("change", followScheme);
followScheme();

const root = document.getElementById("swagger-ui");
new MutationObserver(() => {
  for (const [selector, name] of Object.entries(NAMES)) {
    for (const element of root.querySelectorAll(selector)) {
      element.setAttribute("aria-label", name);
    }
  }
}).observe(root, { childList: true, subtree: true });

SwaggerUIBundle({
  url: "openapi.json",
  domNode: root,
  // The validator would be another server.
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
});
