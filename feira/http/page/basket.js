// The cart's contents for every view that shows a part of them.

import { api, session } from "./feira.js";
import { toastError } from "./toast.js";

class Basket extends EventTarget {
  view = { lines: [], totals: [] };

  get units() {
    return this.view.lines.reduce((sum, line) => sum + line.quantity, 0);
  }

  quantityOf(variant) {
    return this.view.lines.find((line) => line.variant_id === variant)?.quantity ?? 0;
  }

  async load() {
    return this.#take(await api.get("/v1/cart"));
  }

  async set(variant, quantity) {
    return this.#take(await api.put(`/v1/cart/lines/${variant}`, { quantity }));
  }

  async add(variant, quantity) {
    return this.set(variant, this.quantityOf(variant) + quantity);
  }

  #take(view) {
    this.view = view;
    this.dispatchEvent(new Event("change"));
    return view;
  }
}

export const basket = new Basket();
session.addEventListener("change", () => basket.load().catch(toastError));
