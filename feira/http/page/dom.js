// Elements without a framework: h("button", { class: "button", onclick }, "Text").

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

export function s(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** A labelled input. `options` goes to the input; `hint` and an error line are tied to it for screen readers. */
export function field(label, options, { hint, kind = "input", choices, className = "" } = {}) {
  const id = `field-${options.name}-${++fields}`;
  const wrong = h("span", { class: "wrong", id: `${id}-wrong`, role: "alert", hidden: true });
  const control = h(kind, { class: "input", id, "aria-describedby": `${id}-wrong`, ...options },
    choices?.map(([value, text]) => h("option", { value, selected: value === options.value }, text)));
  if (kind === "select" && options.value !== undefined) control.value = options.value;
  const element = h("label", { class: `field ${className}`, for: id }, h("span", {}, label), control, hint && h("small", {}, hint), wrong);
  element.input = control;
  return element;
}
let fields = 0;

/** Show a problem at the field it names, or in `note` when it names none of the form's. */
export function showProblem(form, note, error) {
  clearProblems(form, note);
  const name = String(error.field ?? "").split(".").at(-1).replace(/\[\d+\]/g, "");
  const control = name && form.elements.namedItem(name);
  if (control instanceof HTMLElement) {
    const wrong = document.getElementById(`${control.id}-wrong`);
    control.setAttribute("aria-invalid", "true");
    wrong.textContent = error.message;
    wrong.hidden = false;
    control.focus();
    return;
  }
  note.className = "note bad";
  note.textContent = error.message;
  note.hidden = false;
}

export function clearProblems(form, note) {
  note.hidden = true;
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    document.getElementById(`${control.id}-wrong`).hidden = true;
  }
}

/** Disable a button while its work runs; a second click must not start a second one. */
export async function busy(button, work) {
  if (button.disabled) return undefined;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}
