// Asking the hub for what changes slowly.

import * as api from "./api.js";

const EVERY_MS = 20_000;

export class Polling {
  #asked = -Infinity;

  /** `ask` gives a promise of an answer, which `show` is given. */
  constructor(ask, show) {
    this.ask = ask;
    this.show = show;
  }

  /** Ask again if the last answer is old; what fails is asked again later. */
  async follow() {
    if (performance.now() - this.#asked < EVERY_MS) return;
    this.#asked = performance.now();
    try {
      this.show(await this.ask());
    } catch (error) {
      if (!(error instanceof api.HubError)) throw error;
      this.#asked = -Infinity; // the page says that the hub is away, and asks again
    }
  }
}
