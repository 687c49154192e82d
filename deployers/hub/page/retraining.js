// What was asked of the training side, why and what came of it; and a button to ask for the series that is shown above.

import * as api from "./api.js";
import { confirmed } from "./actions.js";
import { LiveTable, say } from "./table.js";
import { ago, span } from "./words.js";

const EVERY_MS = 20_000;
const ROWS = 20;
const REASON = "asked for on the hub's page";
const KIND = { done: "good", running: "warn", waiting: "warn", failed: "bad", refused: "bad" };

const by = (id) => document.getElementById(id);

export class Retraining {
  #asked = -Infinity;
  #series = null;
  #turn = 0;
  #now = 0;

  constructor(tell, mayAsk) {
    this.tell = tell;
    this.mayAsk = mayAsk;
    this.table = new LiveTable(by("retraining"), [
      { label: "Request", text: ({ id, series }) => `${id}, ${series}` },
      { label: "State", text: ({ state }) => state, kind: ({ state }) => KIND[state] },
      { label: "Asked", text: ({ asked_ms: ms }) => ago(ms, this.#now) },
      { label: "Took", text: (row) => (row.started_ms === null ? "–" : span((row.ended_ms ?? this.#now) - row.started_ms)) },
      { label: "Why", text: ({ trigger, reason }) => `${trigger}: ${reason}` },
      { label: "Answer", text: answerText },
    ], ({ id }) => id);
    by("retrain").addEventListener("click", () => this.#ask(this.#series));
  }

  /** Ask again if another series is shown or the last answer is old; what fails is asked again later. */
  async follow(series) {
    by("retrain").hidden ||= !this.mayAsk();
    if (series === this.#series && performance.now() - this.#asked < EVERY_MS) return;
    this.#series = series;
    this.#asked = performance.now();
    const turn = ++this.#turn;
    try {
      const found = await api.retrainings();
      if (turn === this.#turn) this.#show(found);
    } catch (error) {
      if (!(error instanceof api.HubError)) throw error;
      this.#asked = -Infinity; // the page says that the hub is away, and asks again
    }
  }

  #show(found) {
    this.#now = found.now_ms;
    by("retraining-box").hidden = !found.enabled && found.requests.length === 0;
    say(by("retraining-note"), noteText(found, this.#series));
    this.table.update(found.requests.slice(0, ROWS));
    const button = by("retrain");
    button.hidden = !found.enabled || !this.mayAsk() || this.#series === null;
    button.disabled = found.requests.some(({ series, state }) => series === this.#series && isOpen(state));
    if (this.#series !== null) say(button, `Retrain ${this.#series}`);
  }

  async #ask(series) {
    const text = `The hub asks the training side for a new model of ${series}. It waits if another retraining runs.`;
    if (!(await confirmed(`Retrain ${series}?`, text, "Retrain", false))) return;
    try {
      const { id, state } = await api.retrain(series, REASON);
      this.tell("", `Retraining ${id} of ${series}: ${state}`);
    } catch (error) {
      if (!(error instanceof api.HubError)) throw error;
      this.tell("bad", `${series} is not retrained: ${error.message}`);
    }
    this.#asked = -Infinity;
    this.follow(series);
  }
}

const isOpen = (state) => state === "waiting" || state === "running";

/** What is allowed now: 1 of 3 retrainings of the last seven days used. board-1: cools down for 3.2 h more. */
function noteText({ enabled, budget, series, now_ms: now }, shown) {
  if (!enabled) return "This hub does not retrain by itself now.";
  const free = budget.free_ms === null ? "" : `, free again in ${span(Math.max(0, budget.free_ms - now))}`;
  const parts = [`${budget.used} of ${budget.per_week} retrainings of the last seven days used${free}.`];
  const row = series.find((one) => one.series === shown);
  if (row) {
    const next = row.next_ms === null ? "" : `, by schedule ${row.next_ms > now ? `in ${span(row.next_ms - now)}` : "now"}`;
    parts.push(`By itself: ${row.why_not || `${shown} is allowed`}${next}.`);
  }
  return parts.join(" ");
}

function answerText({ answer }) {
  const made = answer?.challenger;
  if (!made) return answer?.reason || "–";
  const alias = made.alias ? `, ${made.alias}` : "";
  const mae = Number.isFinite(made.test.mae) ? `, test MAE ${made.test.mae.toFixed(4)} °C` : "";
  return `${made.model ?? "model"} version ${made.version}${alias}${mae}`;
}
