// What the hub's monitor says: the state of every series, and the skill of the one that is shown above, day by day.

import * as api from "./api.js";
import { DayPlot } from "./plot.js";
import { LiveTable, say } from "./table.js";
import { degrees, moment } from "./words.js";

const EVERY_MS = 20_000;
const ROWS = 50;
const DAY_MS = 86_400_000;
const LABELS = ["day", "board", "hub", "expected"];
const COLOURS = ["--board", "--hub", "--next"];
const KIND = { ok: "good", warning: "warn", alarm: "bad" };

const by = (id) => document.getElementById(id);

export class Monitor {
  #asked = 0;
  #series = null;
  #turn = 0;

  constructor() {
    this.library = null;
    this.table = new LiveTable(by("monitor"), [
      { label: "Series", text: ({ series }) => series },
      { label: "State", text: ({ state }) => state, kind: ({ state }) => KIND[state] },
      { label: "Skill", number: true, text: ({ skill }) => degrees(skill, 3) },
      { label: "Expected", number: true, text: (row) => degrees(row.skill_expected, 3) },
      { label: "MAE °C", number: true, text: ({ model }) => degrees(model, 3) },
      { label: "Persistence", number: true, text: ({ persistence }) => degrees(persistence, 3) },
      { label: "Reason", text: ({ reason }) => reason || "–" },
    ], ({ series }) => series);
    this.findings = new LiveTable(by("findings"), [
      { label: "Test", text: ({ test }) => test },
      { label: "State", text: (row) => (row.is_masked ? `${row.level}, masked` : row.level), kind: ({ level }) => KIND[level] },
      { label: "Since", text: ({ since_ms: since }) => (since === null ? "–" : moment(since, DAY_MS)) },
      { label: "Reason", text: ({ reason }) => reason || "–" },
    ], ({ test }) => test);
    this.plot = new DayPlot(by("skill"), by("skill-point"), LABELS, COLOURS, {
      hub: { strokePattern: [6, 4] },
      expected: { strokePattern: [2, 3], drawPoints: false },
    });
  }

  /** Ask again if another series is shown or the last answer is old; what fails is asked again later. */
  async follow(series) {
    if (series === this.#series && performance.now() - this.#asked < EVERY_MS) return;
    this.#series = series;
    this.#asked = performance.now();
    const turn = ++this.#turn;
    try {
      const { devices } = await api.monitored();
      const found = devices.some((row) => row.series === series) ? await api.monitoredSeries(series) : null;
      if (turn !== this.#turn) return;
      this.#showAll(devices);
      this.#showOne(found);
    } catch (error) {
      if (!(error instanceof api.HubError)) throw error;
      this.#series = null; // the page says that the hub is away, and asks again
    }
  }

  #showAll(devices) {
    by("monitor-box").hidden = devices.length === 0;
    const trouble = devices.filter(({ state }) => state !== "ok").length;
    const more = devices.length > ROWS ? `, ${ROWS} of them shown` : "";
    say(by("monitor-note"), `${trouble} of ${devices.length} series in trouble${more}. Skill is 1 − error / persistence's error over the last days.`);
    this.table.update(devices.slice(0, ROWS));
  }

  #showOne(found) {
    this.findings.update(found?.findings ?? []);
    say(by("findings-title"), found ? `Tests of ${found.series}` : "");
    const rows = found ? skillRows(found) : [];
    by("skill-box").hidden = rows.length < 2 || this.library === null;
    if (by("skill-box").hidden) return;
    say(by("skill-note"), `Skill of ${found.series} day by day: board, hub, and what is expected`);
    this.plot.update(this.library, rows, skillText(found));
  }
}

/** One row a day: day (a date, which the axis writes as one), board's skill, hub's, expected; days with a faulty sensor are left out, and challengers. */
export function skillRows({ days, skill_expected: expected }) {
  const rows = new Map();
  for (const { day_ms: ms, source, skill, is_masked: isMasked } of days) {
    if (skill === null || isMasked || source === "shadow") continue;
    const row = rows.get(ms) ?? [new Date(ms), null, null, expected];
    row[source === "board" ? 1 : 2] = skill;
    rows.set(ms, row);
  }
  return [...rows.values()].sort((a, b) => a[0] - b[0]);
}

function skillText({ days, skill, skill_expected: expected }) {
  const known = days.filter((day) => day.skill !== null && !day.is_masked && day.source !== "shadow");
  return `Skill of ${known.length} days, last week ${degrees(skill, 3)}, expected ${degrees(expected, 3)}`;
}
