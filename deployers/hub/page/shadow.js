// Challengers in the shadow of the active version: how each stands beside it, and the skill of both day by day.

import * as api from "./api.js";
import { DayPlot } from "./plot.js";
import { Polling } from "./polling.js";
import { LiveTable, say } from "./table.js";
import { count, degrees } from "./words.js";

const KIND = { better: "good", worse: "bad", ended: "warn" };
const CARRIED = { carries: "good", refused: "bad", unable: "warn" };

const by = (id) => document.getElementById(id);

export class Shadow {
  #polling = new Polling(api.challengers, (found) => this.#show(found));

  constructor() {
    this.library = null;
    this.table = new LiveTable(by("challengers"), [
      { label: "Challenger", text: ({ version }) => `Version ${version}` },
      { label: "State", text: ({ state }) => state, kind: ({ state }) => KIND[state] ?? "" },
      { label: "Beside", text: ({ champion }) => `version ${champion}` },
      { label: "Days", number: true, text: ({ days_compared: days }) => String(days) },
      { label: "Better", number: true, text: ({ days_better: days }) => String(days) },
      { label: "Skill", number: true, text: ({ skill_challenger: skill }) => degrees(skill, 3) },
      { label: "Champion's", number: true, text: ({ skill_champion: skill }) => degrees(skill, 3) },
      { label: "e-value", number: true, text: ({ e_better: value }) => degrees(value, 1) },
      { label: "CPU a reading", number: true, text: ({ cost }) => (cost === null ? "–" : `${Math.round(cost.microseconds_per_reading)} µs`) },
      { label: "Verdict", text: verdict },
    ], ({ version }) => version);
    this.carried = new LiveTable(by("carried"), [
      { label: "Board", text: ({ board }) => board },
      { label: "Challenger", text: ({ version }) => `version ${version}` },
      { label: "On the board", text: ({ state }) => state, kind: ({ state }) => CARRIED[state] ?? "" },
      { label: "Compared", number: true, text: ({ forecasts }) => count(forecasts) },
      { label: "Largest difference", number: true, text: ({ worst_celsius: worst }) => (worst === null ? "–" : `${degrees(worst, 6)} °C`) },
      { label: "Why", text: ({ reason }) => reason || "–" },
    ], ({ version, board }) => `${version} ${board}`);
    this.plot = new DayPlot(by("duel"), by("duel-point"), ["day", "champion", "challenger"], ["--hub", "--next"], {
      champion: { strokePattern: [6, 4] },
    });
  }

  /** Show challengers, asked for anew where the answer is old. */
  follow() {
    return this.#polling.follow();
  }

  #show({ challengers, rules }) {
    by("shadow-box").hidden = challengers.length === 0;
    this.table.update(challengers);
    const carried = challengers.flatMap(({ version, boards }) => boards.map((row) => ({ ...row, version })));
    by("carried").hidden = carried.length === 0;
    this.carried.update(carried);
    say(by("shadow-note"), `A challenger forecasts beside the active version and answers nobody. It is better at an e-value of ${1 / rules.alpha}, `
      + `after ${rules.least_days} to ${rules.most_days} complete days.`);
    const first = challengers.find(({ days }) => days.length > 0);
    by("duel-box").hidden = first === undefined || first.days.length < 2 || this.library === null;
    if (by("duel-box").hidden) return;
    say(by("duel-note"), `Skill day by day: version ${first.version}, and version ${first.champion} beside it`);
    const rows = first.days.map(({ day_ms: ms, champion, challenger }) => [new Date(ms), champion, challenger]);
    const words = `challenger ${degrees(first.skill_challenger, 3)}, champion ${degrees(first.skill_champion, 3)}`;
    this.plot.update(this.library, rows, `Skill of ${rows.length} days: ${words}`);
  }
}

function verdict({ reason, waits_for: waits }) {
  return [reason, waits && `waits for: ${waits}`].filter(Boolean).join("; ") || "–";
}
