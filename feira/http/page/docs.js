// The API reference, drawn from /openapi.json and /asyncapi.json. Grouped by tag, filtered as one types, schemas spelled out.

import { append, fill, h } from "./dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH_MAX = 6;
const root = document.getElementById("docs");
const [document_, socket] = await Promise.all(["/openapi.json", "/asyncapi.json"].map(async (path) => (await fetch(path)).text()))
  // One tree, so that references of both lead somewhere.
  .then(([rest, live]) => [JSON.parse(rest), JSON.parse(live.replaceAll('"#/', '"#/socket/'))]);
document_.socket = socket;
document_.tags.push({ name: "socket", description: "What clients say and hear on /v1/socket." });
const said = Object.entries(socket.operations).filter(([, one]) => one.channel.$ref === "#/socket/channels/socket").map(([id, one]) => {
  const message = resolve(resolve(one.messages[0]));
  return { id, message, method: one.action === "receive" ? "say" : "hear", path: message.title, summary: one.summary, tags: ["socket"], answers: one.reply?.messages.map((answer) => resolve(resolve(answer))) ?? [] };
});
const operations = Object.entries(document_.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method], id: item[method].operationId }))).concat(said);

const main = h("main", { class: "docs-main" });
const list = h("nav", { "aria-label": "Operations" });
const search = h("input", { class: "input", type: "search", placeholder: "Filter", "aria-label": "Filter operations", oninput: () => render(search.value) });

function render(words = "") {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = operations.filter((one) => wanted.every((word) => `${one.method} ${one.path} ${one.summary}`.toLowerCase().includes(word)));
  const tags = document_.tags.map((tag) => ({ ...tag, operations: shown.filter((one) => one.tags.includes(tag.name)) })).filter((tag) => tag.operations.length > 0);
  fill(list, tags.map((tag) => [h("h2", {}, tag.name), h("ul", {}, tag.operations.map((one) =>
    h("li", {}, h("a", { href: `#${one.id}`, onclick: () => open(one.id) }, badge(one.method), h("span", {}, one.summary)))))]));
  fill(main, h("header", {}, h("h1", {}, `${document_.info.title} API`, " ", h("span", { class: "tag" }, document_.info.version)), prose(document_.info.description),
    h("p", {}, h("a", { class: "link", href: "/openapi.json" }, "openapi.json"), " ", h("a", { class: "link", href: "/asyncapi.json" }, "asyncapi.json"))),
  tags.map((tag) => h("section", {}, h("h2", { class: "docs-tag" }, tag.name.charAt(0).toUpperCase() + tag.name.slice(1)), h("p", { class: "muted" }, tag.description), tag.operations.map(operation))),
  tags.length === 0 && h("p", { class: "muted" }, "Nothing matches."));
}

/** The little Markdown that descriptions use: paragraphs and `code`. */
function prose(text) {
  return text.trim().split(/\n\s*\n/).map((paragraph) =>
    h("p", {}, paragraph.replace(/\s*\n\s*/g, " ").split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part))));
}

function badge(method) {
  return h("span", { class: `method ${method}` }, method.toUpperCase());
}

function operation(one) {
  const element = h("details", { class: "operation", id: one.id }, h("summary", {}, badge(one.method), h("span", { class: "path strong" }, one.path), h("span", { class: "muted" }, one.summary)));
  // Most are never opened: their details are drawn when they are.
  element.addEventListener("toggle", () => { if (element.open && element.children.length === 1) element.append(one.message ? exchange(one) : details(one)); });
  return element;
}

function details(one) {
  const parameters = one.parameters.map(resolve);
  const body = one.requestBody?.content["application/json"]?.schema;
  const isOpen = one.security.some((requirement) => Object.keys(requirement).length === 0);
  return h("div", { class: "body" },
    one.description && prose(one.description),
    h("p", { class: "small muted" }, isOpen ? "Works without signing in." : "Needs a bearer token."),
    parameters.length > 0 && h("section", {}, h("h4", {}, "Parameters"), h("ul", { class: "rows" }, parameters.map((parameter) =>
      h("li", {}, h("span", {}, h("code", { class: "strong" }, parameter.name), h("br"), h("span", { class: "small muted" }, parameter.in, parameter.required && " · required")),
        h("span", {}, h("code", {}, brief(parameter.schema)), (parameter.description ?? parameter.schema.description) && h("span", { class: "small muted block" }, parameter.description ?? parameter.schema.description)))))),
    body && h("section", {}, h("h4", {}, "Body"), schemaBox(body)),
    Object.entries(one.responses).filter(([status]) => status < "300").map(([status, response]) => {
      const schema = response.content?.["application/json"]?.schema;
      return h("section", {}, h("h4", {}, `Answer ${status}`), schema ? schemaBox(schema) : h("p", { class: "muted small" }, status === "204" ? "Nothing." : "Not JSON."));
    }),
    h("p", { class: "small muted" }, "Problems: ", Object.keys(one.responses).filter((status) => status >= "400" && status < "600").join(", "), ", as application/problem+json."));
}

/** A message of the socket, and what may answer it. */
function exchange(one) {
  const example = JSON.stringify(one.message.examples[0].payload);
  return h("div", { class: "body" },
    h("section", {}, h("h4", {}, "Message"), schemaBox(one.message.payload)),
    h("section", {}, h("h4", {}, "For example"), h("pre", { class: "schema", tabindex: "0" }, example)),
    one.answers.map((answer) => h("section", {}, h("h4", {}, answer.title === "error" ? "When it fails" : "Answer"), schemaBox(answer.payload))));
}

function resolve(node) {
  if (!node?.$ref) return node;
  return node.$ref.slice(2).split("/").reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], document_);
}

function schemaBox(schema) {
  return append(h("pre", { class: "schema", tabindex: "0" }), draw(schema, 0, new Set()));
}

/** A schema as the JSON it describes, with a note behind what is not plain. */
function draw(schema, depth, seen) {
  const name = schema.$ref;
  if (name && (seen.has(name) || depth > DEPTH_MAX)) return [name.split("/").at(-1)];
  const inside = name ? new Set([...seen, name]) : seen;
  const node = resolve(schema);
  const choices = node.anyOf ?? node.oneOf;
  if (choices) return choices.flatMap((choice, at) => [at > 0 ? " | " : "", ...draw(choice, depth, inside)]);
  const pad = "  ".repeat(depth + 1);
  if (node.type === "object" && node.properties) {
    const rows = Object.entries(node.properties).flatMap(([key, value]) => {
      const note = resolve(value).description && !value.$ref ? h("span", { class: "note-text" }, `  ${value.description}`) : "";
      return [`${pad}${key}${node.required?.includes(key) ? "" : "?"}: `, ...draw(value, depth + 1, inside), note, "\n"];
    });
    return ["{\n", ...rows, `${"  ".repeat(depth)}}`];
  }
  if (node.type === "object") return ["{ string: ", ...(typeof node.additionalProperties === "object" ? draw(node.additionalProperties, depth + 1, inside) : ["any"]), " }"];
  if (node.type === "array") return ["[ ", ...(node.items ? draw(node.items, depth, inside) : ["any"]), " ]"];
  return [brief(node)];
}

function brief(given) {
  const node = resolve(given);
  const choices = node.anyOf ?? node.oneOf;
  if (choices) return choices.map(brief).join(" | ");
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(" | ");
  const low = node.minimum ?? node.minLength;
  const high = node.maximum ?? node.maxLength;
  const range = low !== undefined && high !== undefined ? ` ${low} … ${high}` : high !== undefined ? ` up to ${high}` : low !== undefined ? ` from ${low}` : "";
  const fallback = node.default !== undefined && node.default !== null ? ` = ${JSON.stringify(node.default)}` : "";
  return `${node.format ?? node.type ?? "any"}${range}${fallback}`;
}

function open(id) {
  const element = document.getElementById(id);
  if (element) element.open = true;
}

root.append(h("aside", { class: "docs-side" }, h("a", { class: "brand", href: "/" }, "Feira"), search, list), main);
root.removeAttribute("aria-busy");
render();
if (location.hash) {
  open(location.hash.slice(1));
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}
