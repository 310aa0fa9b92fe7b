// The market: search, categories, product cards that load on as one scrolls.

import { fill, h } from "../dom.js";
import { api } from "../feira.js";
import { money } from "../format.js";
import { icon } from "../icons.js";
import { pattern, picture } from "../tiles.js";

const TYPED_FOR_MS = 220;
const PAGE = 24;
const MOSAIC = ["a", "feira", "is", "bread", "figs", "linen", "clay", "cork"];
const SORTS = [["relevance", "Best match"], ["newest", "Newest first"], ["price_asc", "Cheapest first"], ["price_desc", "Dearest first"]];

export async function marketView({ query, signal }) {
  const wanted = { text: query.get("q") ?? "", category: query.get("category") ?? "", sort: query.get("sort") ?? (query.get("q") ? "relevance" : "newest"), inStock: query.get("in_stock") === "true" };
  let cursor = null;
  let turn = 0;

  const grid = h("ul", { class: "grid" });
  const more = h("div", { class: "more" });
  const count = h("p", { class: "sr", role: "status" });
  const input = h("input", { class: "input", type: "search", name: "q", value: wanted.text, placeholder: "Search the market", "aria-label": "Search the market", autocomplete: "off", maxlength: 200 });
  const sort = h("select", { class: "input", "aria-label": "Sort" }, SORTS.map(([value, text]) => h("option", { value }, text)));
  const inStock = h("input", { type: "checkbox", checked: wanted.inStock });
  const categories = h("div", { class: "categories", role: "group", "aria-label": "Categories" });
  sort.value = wanted.sort;

  const load = async ({ on = false } = {}) => {
    const mine = (turn += 1);
    const page = await api.get(searchPath(wanted, on ? cursor : null), { signal });
    if (mine !== turn) return;
    cursor = page.next_cursor;
    const cards = page.items.map(productCard);
    if (on) grid.append(...cards);
    else fill(grid, cards);
    grid.hidden = !on && page.items.length === 0;
    count.textContent = `${grid.children.length}${cursor ? " or more" : ""} products`;
    showMore(page.items.length === 0 && !on);
  };
  const showMore = (empty) => fill(more,
    empty && h("div", { class: "empty" }, pattern("empty market", { square: true }), h("h2", {}, "Nothing here by that name"), h("p", {}, "Try fewer words, another category, or include what is sold out.")),
    cursor && h("button", { class: "button quiet", onclick: (event) => { event.target.disabled = true; load({ on: true }).catch(shown); } }, "Show more"));
  const shown = (error) => { if (error.name !== "AbortError") fill(more, h("p", { class: "note bad" }, error.message)); };
  const change = () => {
    const address = new URLSearchParams();
    if (wanted.text) address.set("q", wanted.text);
    if (wanted.category) address.set("category", wanted.category);
    if (wanted.sort !== (wanted.text ? "relevance" : "newest")) address.set("sort", wanted.sort);
    if (wanted.inStock) address.set("in_stock", "true");
    history.replaceState(null, "", address.size ? `/?${address}` : "/");
    load().catch(shown);
  };

  let typing = 0;
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { wanted.text = input.value.trim(); change(); }, TYPED_FOR_MS);
  });
  sort.addEventListener("change", () => { wanted.sort = sort.value; change(); });
  inStock.addEventListener("change", () => { wanted.inStock = inStock.checked; change(); });

  const [, tree] = await Promise.all([load(), api.get("/v1/categories", { signal })]);
  const renderCategories = () => fill(categories, [{ slug: "", name: "Everything" }, ...tree.items.filter((one) => one.depth === 0)].map((one) =>
    h("button", { type: "button", "aria-pressed": String(one.slug === wanted.category), onclick: () => { wanted.category = one.slug; renderCategories(); change(); } }, one.name)));
  renderCategories();

  const element = h("div", { class: "market" },
    h("div", { class: "hero" },
      h("div", { class: "pitch" }, h("h1", { tabindex: "-1" }, "Good things, from people you can talk to"),
        h("form", { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); input.blur(); } }, icon("search"), input)),
      h("div", { class: "mosaic", "aria-hidden": "true" }, MOSAIC.map((seed) => pattern(seed, { square: true })))),
    h("div", { class: "filters" }, categories,
      h("div", { class: "row" }, h("label", { class: "toggle" }, inStock, "In stock"), sort)),
    count, grid, more);
  return { title: "Feira", name: "market", element, close: () => clearTimeout(typing) };
}

function searchPath({ text, category, sort, inStock }, cursor) {
  const query = new URLSearchParams({ limit: String(PAGE), sort });
  if (text) query.set("q", text);
  if (category) query.set("category", category);
  if (inStock) query.set("in_stock", "true");
  if (cursor) query.set("cursor", cursor);
  return `/v1/search?${query}`;
}

export function productCard(product) {
  return h("li", {}, h("a", { class: product.in_stock ? "product-card" : "product-card gone", href: `/products/${product.product_id}` },
    h("span", { class: "frame" }, picture(product.product_id, product.image_url), !product.in_stock && h("span", { class: "tag" }, "Sold out")),
    h("span", { class: "product-title" }, product.title),
    h("span", { class: "muted small clip" }, product.shop_name),
    h("span", { class: "price number" }, money(product.price_min_minor, product.currency))));
}
