// A product: its images, variants, and how many are left right now.

import { busy, fill, h } from "../dom.js";
import { api, live, session } from "../feira.js";
import { basket } from "../basket.js";
import { money } from "../format.js";
import { icon } from "../icons.js";
import { avatar, picture } from "../tiles.js";
import { toast, toastError } from "../toast.js";

const FEW = 5;

export async function productView({ params, signal, go }) {
  let product = await api.get(`/v1/products/${params.product}`, { signal });
  let chosen = product.variants.find((variant) => variant.available > 0) ?? product.variants[0];
  let quantity = 1;

  const gallery = h("div", { class: "gallery" });
  const choice = h("div", { class: "stack" });
  const text = h("div", { class: "stack" });

  const renderText = () => fill(text, h("p", { class: "description" }, product.description || "The seller has written nothing yet. Ask them!"));
  const renderGallery = () => fill(gallery, gallerySlides(product));
  const render = () => {
    chosen = product.variants.find((variant) => variant.id === chosen?.id) ?? product.variants[0];
    const left = Math.max(0, (chosen?.available ?? 0) - basket.quantityOf(chosen?.id));
    quantity = Math.max(1, Math.min(quantity, left || 1));
    fill(choice,
      h("p", { class: "price big number" }, chosen ? money(chosen.price_minor, product.currency) : ""),
      h("div", { role: "status" }, availability(product, chosen)),
      ...optionPickers(product, chosen, (variant) => { chosen = variant; render(); }),
      chosen && h("div", { class: "row" },
        stepper(quantity, left || 1, (value) => { quantity = value; render(); }),
        h("button", { class: "button grow", disabled: !product.sellable || left === 0, onclick: (event) => busy(event.currentTarget, addToCart) }, icon("basket"), chosen.available > 0 && left === 0 ? "All in your cart" : "Add to cart")));
  };
  const addToCart = async () => {
    try {
      await basket.add(chosen.id, quantity);
      toast(`Added ${product.title} to your cart.`, { href: "/cart" });
      quantity = 1;
      render();
    } catch (error) {
      toastError(error);
    }
  };
  const ask = async () => {
    if (!session.user) return go(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
    try {
      const conversation = await api.post("/v1/conversations", { shop: product.shop_id, product: product.id });
      return go(`/chat/${conversation.id}`);
    } catch (error) {
      return toastError(error);
    }
  };
  const reload = async () => {
    product = await api.get(`/v1/products/${params.product}`, { signal });
    render();
    renderText();
  };

  renderGallery();
  renderText();
  render();
  basket.addEventListener("change", render, { signal });
  const unwatch = session.user ? live.socket.watch(`product:${product.id}`, {
    onState: () => reload().catch(ignore),
    onReset: () => reload().catch(ignore),
    onEvent: ({ body }) => {
      if (body.kind === "product.stock_changed") {
        const variant = product.variants.find((one) => one.id === body.variant);
        if (variant) variant.available = body.available;
        render();
      } else {
        reload().catch(ignore);
      }
    },
  }) : () => {};

  const isOwn = session.user?.shops.some((shop) => shop.id === product.shop_id);
  const element = h("div", {},
    h("a", { class: "back", href: "/" }, icon("back"), "Market"),
    h("article", { class: "product" }, gallery,
      h("div", { class: "stack product-side" },
        h("h1", { tabindex: "-1" }, product.title),
        choice,
        h("div", { class: "seller" }, avatar(product.shop_id, product.shop_name),
          h("div", { class: "grow" }, h("div", { class: "strong clip" }, product.shop_name), h("div", { class: "small muted" }, "Usually answers in the chat")),
          isOwn ? h("a", { class: "button quiet low", href: "/selling/products" }, "Your shop") : h("button", { class: "button quiet low", onclick: (event) => busy(event.currentTarget, ask) }, icon("chat"), "Ask")),
        text)));
  return { title: product.title, element, close: unwatch };
}

function ignore(error) {
  if (error.name !== "AbortError") toastError(error);
}

function gallerySlides(product) {
  const images = product.media.filter((image) => image.url);
  const main = h("div", { class: "frame large" }, picture(product.id, images[0]?.url, { alt: product.title }));
  if (images.length < 2) return [main];
  return [main, h("div", { class: "thumbs" }, images.map((image, at) =>
    h("button", { type: "button", "aria-label": `Image ${at + 1}`, onclick: () => fill(main, picture(product.id, image.url, { alt: product.title })) }, picture(product.id, image.url, { square: true }))))];
}

function availability(product, variant) {
  if (!product.sellable || !variant) return h("span", { class: "tag" }, "Not for sale right now");
  if (variant.available === 0) return h("span", { class: "tag bad" }, "Sold out");
  if (variant.available === 1) return h("span", { class: "tag hot" }, "Last one");
  if (variant.available <= FEW) return h("span", { class: "tag warm" }, `Only ${variant.available} left`);
  return h("span", { class: "tag good" }, "In stock");
}

/** One row of choices for each option; a choice goes to the variant that keeps the most of the others. */
function optionPickers(product, chosen, choose) {
  const names = [...new Set(product.variants.flatMap((variant) => Object.keys(variant.options)))];
  return names.map((name) => {
    const values = [...new Set(product.variants.map((variant) => variant.options[name]).filter(Boolean))];
    return h("fieldset", { class: "picker" }, h("legend", {}, name), values.map((value) => {
      const target = nearest(product.variants, { ...chosen.options, [name]: value }, name);
      const label = h("button", { type: "button", "aria-pressed": String(chosen.options[name] === value), class: target.available > 0 ? "" : "gone", onclick: () => choose(target) }, value);
      return label;
    }));
  });
}

function nearest(variants, options, name) {
  const fit = (variant) => Object.entries(options).filter(([key, value]) => variant.options[key] === value).length + (variant.available > 0 ? 0.5 : 0);
  return variants.filter((variant) => variant.options[name] === options[name]).sort((a, b) => fit(b) - fit(a))[0];
}

export function stepper(value, max, change, { min = 1, label = "Quantity" } = {}) {
  return h("div", { class: "stepper", role: "group", "aria-label": label },
    h("button", { type: "button", "aria-label": "One less", disabled: value <= min, onclick: () => change(value - 1) }, icon("minus")),
    h("output", { class: "number" }, value),
    h("button", { type: "button", "aria-label": "One more", disabled: value >= max, onclick: () => change(value + 1) }, icon("plus")));
}
