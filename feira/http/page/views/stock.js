// The stall's products: drafting, publishing, counting stock, images.

import { busy, clearProblems, field, fill, h, showProblem } from "../dom.js";
import { api } from "../feira.js";
import { minorDigits, money, options, parseMoney } from "../format.js";
import { icon } from "../icons.js";
import { productStatus } from "../status.js";
import { pattern, picture } from "../tiles.js";
import { toast, toastError } from "../toast.js";

const IMAGE_TYPES = "image/jpeg,image/png,image/webp,image/avif";
const IMAGE_BYTES_MAX = 8 * 1024 * 1024;

export function productsSection(shop, { signal }) {
  const list = h("ul", { class: "goods" });
  const more = h("div", { class: "more" });
  let items = [];
  let cursor = null;

  const render = () => {
    fill(list, items.map((product) => h("li", { class: "card goods-row" }, productRow(product, replace))));
    list.hidden = items.length === 0;
    fill(more, items.length === 0 ? h("div", { class: "empty" }, pattern(shop.id, { square: true }), h("h2", {}, "The stall is bare"), h("p", {}, "Draft your first product; nobody sees it until you publish it."))
      : cursor && h("button", { class: "button quiet", onclick: (event) => { event.target.disabled = true; load({ on: true }).catch(toastError); } }, "Show more"));
  };
  const replace = (product) => {
    items = items.map((one) => (one.id === product.id ? product : one));
    render();
  };
  const load = async ({ on = false } = {}) => {
    const page = await api.get(`/v1/shops/${shop.id}/products?status=all&limit=50${on && cursor ? `&cursor=${cursor}` : ""}`, { signal });
    cursor = page.next_cursor;
    items = on ? [...items, ...page.items] : page.items;
    render();
  };
  const heard = (event) => {
    if (event.kind === "media.checked") {
      if (event.state === "rejected") toast(`An image was refused: ${event.reason}`, { bad: true });
      load().catch((error) => { if (error.name !== "AbortError") toastError(error); });
    }
  };
  const drafting = h("details", { class: "card more-form" }, h("summary", {}, icon("plus"), "New product"));
  drafting.append(draftForm(shop, (product) => { items = [product, ...items]; drafting.open = false; render(); }));
  return { element: h("div", { class: "stack" }, drafting, list, more), load, heard };
}

function productRow(product, replace) {
  const [text, tone] = productStatus(product.status);
  const image = product.media.find((one) => one.url);
  const change = (path, body) => api.post(path, body).then(replace, toastError);
  return [
    h("a", { class: "thumb", href: `/products/${product.id}`, "aria-label": product.title }, picture(product.id, image?.url, { square: true })),
    h("div", { class: "stack-s grow" },
      h("div", { class: "row apart" }, h("h3", {}, product.title), h("span", { class: `tag ${tone}` }, text)),
      h("ul", { class: "variants" }, product.variants.filter((one) => one.active).map((variant) => variantRow(variant, product, replace))),
      product.variants.length === 0 && h("p", { class: "small muted" }, "No variants yet."),
      h("div", { class: "row" },
        product.status === "published"
          ? h("button", { class: "button quiet low", onclick: (event) => busy(event.currentTarget, () => change(`/v1/products/${product.id}/archive`, { version: product.version })) }, "Take off the market")
          : h("button", { class: "button low", onclick: (event) => busy(event.currentTarget, () => change(`/v1/products/${product.id}/publish`, { version: product.version })) }, "Publish"),
        imageButton(product))),
  ];
}

function variantRow(variant, product, replace) {
  const count = h("input", { class: "input count number", type: "number", min: 0, max: 1_000_000, value: variant.on_hand, "aria-label": `On hand: ${product.title} ${options(variant.options)}` });
  const save = async () => {
    const set = Number(count.value);
    if (!Number.isInteger(set) || set < 0 || set === variant.on_hand) {
      count.value = variant.on_hand;
      return;
    }
    try {
      const stock = await api.put(`/v1/variants/${variant.id}/stock`, { set });
      const variants = product.variants.map((one) => (one.id === variant.id ? { ...one, ...stock, id: one.id } : one));
      replace({ ...product, variants });
      toast("Stock counted.");
    } catch (error) {
      count.value = variant.on_hand;
      toastError(error);
    }
  };
  count.addEventListener("change", save);
  return h("li", { class: "variant" },
    h("span", { class: "grow" }, h("span", { class: "block clip" }, options(variant.options) || variant.sku), h("span", { class: "small muted" }, [money(variant.price_minor, product.currency), variant.reserved > 0 && `${variant.reserved} held`].filter(Boolean).join(" · "))),
    h("label", { class: "row tight" }, h("span", { class: "small muted" }, "On hand"), count));
}

function imageButton(product) {
  const input = h("input", { type: "file", accept: IMAGE_TYPES, class: "sr", tabindex: "-1", "aria-label": `Image for ${product.title}` });
  const button = h("button", { class: "button quiet low", type: "button", onclick: () => input.click() }, icon("camera"), "Add an image");
  input.addEventListener("change", () => busy(button, async () => {
    const [file] = input.files;
    if (!file) return;
    if (file.size > IMAGE_BYTES_MAX) {
      toast("An image may have up to 8 MiB.", { bad: true });
      return;
    }
    try {
      await upload(product, file);
      toast("Uploaded. It shows once it was checked.");
    } catch (error) {
      toastError(error);
    }
  }));
  return [button, input];
}

/** Announce, post straight to the store, confirm: the bytes never pass through the market's servers. */
async function upload(product, file) {
  const { media, upload: form } = await api.post(`/v1/products/${product.id}/media`, { content_type: file.type });
  const body = new FormData();
  for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
  body.append("file", file);
  let response;
  try {
    response = await fetch(form.url, { method: "POST", body });
  } catch {
    response = { ok: false };
  }
  if (!response.ok) throw Object.assign(new Error("The image could not be uploaded. Try again."), { code: "upload.failed" });
  await api.post(`/v1/media/${media.id}/uploaded`, undefined);
}

function draftForm(shop, added) {
  const note = h("p", { class: "note bad", role: "alert", hidden: true });
  const category = field("Category", { name: "category" }, { kind: "select", choices: [["", "Choose …"]], className: "half" });
  const form = h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); busy(event.submitter, save); } },
    h("div", { class: "fields" },
      field("Title", { name: "title", required: true, maxlength: 200 }),
      field("Description", { name: "description", rows: 4, maxlength: 4000 }, { kind: "textarea" }),
      category,
      field(`Price in ${shop.currency}`, { name: "price_minor", required: true, inputmode: "decimal", placeholder: (0).toFixed(minorDigits(shop.currency)) }, { className: "half" }),
      field("SKU", { name: "sku", required: true, maxlength: 64 }, { className: "half", hint: "Your own name for it." }),
      field("On hand", { name: "on_hand", type: "number", min: 0, max: 1_000_000, value: 1 }, { className: "half" })),
    note, h("button", { class: "button" }, "Save the draft"));
  api.get("/v1/categories").then(({ items }) => category.input.append(...items.map((one) => h("option", { value: one.slug }, `${"\u2003".repeat(one.depth)}${one.name}`))), toastError);
  const save = async () => {
    clearProblems(form, note);
    const values = Object.fromEntries(new FormData(form));
    const price = parseMoney(values.price_minor, shop.currency);
    if (Number.isNaN(price)) {
      showProblem(form, note, { field: "price_minor", message: `Write a price such as ${(12.5).toFixed(minorDigits(shop.currency))}.` });
      return;
    }
    try {
      added(await api.post(`/v1/shops/${shop.id}/products`, {
        title: values.title, description: values.description, category: values.category || null,
        variants: [{ sku: values.sku.trim(), price_minor: price, on_hand: Number(values.on_hand) }],
      }));
      form.reset();
    } catch (error) {
      if (!error.code) throw error;
      showProblem(form, note, error);
    }
  };
  return form;
}
