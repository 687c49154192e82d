// The page: asks the hub every second or two, and shows what it says.

import * as api from "./api.js";
import { Actions } from "./actions.js";
import { Chart, chartText, loadLibrary } from "./chart.js";
import { Fleet } from "./fleet.js";
import { lastRows, merged } from "./lines.js";
import { Monitor } from "./monitor.js";
import { Retraining } from "./retraining.js";
import { Shadow } from "./shadow.js";
import { element, say } from "./table.js";
import { devicesTable, jobsTable, lastTable, leadsTable, modelsTable, versionsTable } from "./tables.js";
import { celsius, clock, degrees, moment, span } from "./words.js";

const EVERY_MS = 1500;
const LONGEST_MS = 30_000;
const LAST_ROWS = 12;
const WHOLE_DAY_MS = 23.5 * 3_600_000;
const NO_LIBRARY = "The chart's library is not installed on the hub: apt-get install libjs-dygraphs there, then reload. "
  + "The tables below work without it.";

const by = (id) => document.getElementById(id);

const page = {
  answer: null, // the last one
  lines: null, // of the chart, merged from all answers
  shown: "", // series, span and lead that `lines` are of
  names: [], // of series
  stamp: "", // by which the hub knows that we have `names`
  failures: 0,
  awaySince: null,
  timer: 0,
  turn: 0, // rises with each question: an answer to an older one is dropped
  chart: null,
};

const now = () => page.answer.now_ms;
const actions = new Actions(tell, () => ask());
const monitor = new Monitor();
const retraining = new Retraining(tell, () => page.answer.role === "deploy");
const shadow = new Shadow();
const fleet = new Fleet();
const tables = {
  devices: devicesTable(now),
  models: modelsTable(mayDeploy, (version) => actions.deploy(version, page.answer.devices_online)),
  jobs: jobsTable(now),
  leads: leadsTable(),
  versions: versionsTable(),
  last: lastTable(() => page.answer.chosen.cadence_ms),
};

function tell(kind, text) {
  const box = by("message");
  box.className = `notice ${kind}`;
  box.hidden = false;
  say(by("message-text"), text);
}

/** Whether a version has a button, and whether it can be pressed now. Boards refuse what is older than they have. */
function mayDeploy({ version, state, way_back_for: forVersion }) {
  const active = page.answer.active_version ?? 0;
  const isNewer = version > active && state === "installed" && forVersion !== active;
  const isBehind = version === active && page.answer.devices_behind > 0;
  return [page.answer.role === "deploy" && (isNewer || isBehind), !actions.isBusy];
}

// --- asking ---

async function ask() {
  clearTimeout(page.timer);
  const turn = ++page.turn;
  const wanted = { series: by("series").value, hours: by("hours").value, lead: by("lead").value, names: page.stamp };
  const key = JSON.stringify([wanted.series, wanted.hours, wanted.lead]);
  const since = key === page.shown && page.lines?.readings.length ? page.lines.readings.at(-1)[0] : null;
  let wait = EVERY_MS;
  try {
    const answer = await api.live({ ...wanted, since });
    if (turn !== page.turn) return;
    wait = show(answer, since) ? EVERY_MS : 0;
    back();
  } catch (error) {
    if (turn !== page.turn) return;
    if (!(error instanceof api.HubError)) {
      tell("bad", `This page failed: ${error.message}`);
      throw error;
    }
    if (error.status === 401 || error.status === 403) return signIn(error);
    wait = away(error);
  }
  page.timer = setTimeout(ask, wait);
}

function back() {
  page.failures = 0;
  page.awaySince = null;
  by("away").hidden = true;
  by("lamp").className = "live";
  say(by("status"), "Live");
  say(by("updated"), `updated ${clock(new Date())}`);
}

/** Say that the hub does not answer; the time to wait until the next question. */
function away(error) {
  page.failures += 1;
  page.awaySince ??= new Date();
  const wait = Math.min(LONGEST_MS, Math.max(EVERY_MS * 2 ** (page.failures - 1), 1000 * error.retrySeconds));
  by("lamp").className = "away";
  say(by("status"), "Hub away");
  say(by("away-text"), `The hub does not answer since ${clock(page.awaySince)} (${error.message}). What you see is from before. Next try in ${span(wait)}.`);
  by("away").hidden = false;
  return wait;
}

function signIn(error = null) {
  clearTimeout(page.timer);
  page.turn += 1;
  api.forgetToken();
  by("content").hidden = true;
  by("account").hidden = true;
  by("away").hidden = true;
  by("lamp").className = "";
  say(by("status"), "Signed out");
  say(by("updated"), "");
  by("message").hidden = true;
  if (error !== null) tell("bad", `The hub refused the token: ${error.status === 401 ? "it is none of its own" : error.message}`);
  by("sign-in").hidden = false;
  by("token").value = "";
  by("token").focus();
}

function start() {
  by("sign-in").hidden = true;
  by("message").hidden = true;
  say(by("status"), "Connecting");
  ask();
}

// --- showing ---

/** Show an answer; false if the chart's lines must be asked for again in full. */
function show(answer, since) {
  page.answer = answer;
  by("content").hidden = false;
  by("account").hidden = false;
  say(by("role"), `${answer.principal}, may ${{ read: "read", write: "read and write", deploy: "deploy" }[answer.role]}`);
  actions.follow(answer.jobs);
  showTables(answer);
  showNames(answer);
  monitor.follow(answer.chosen?.series ?? null);
  retraining.follow(answer.chosen?.series ?? null);
  shadow.follow();
  fleet.follow();
  return showSeries(answer.chosen, since);
}

function showTables(answer) {
  const { devices, models, jobs } = answer;
  tables.devices.update(devices);
  const more = answer.devices_total > devices.length ? `, ${devices.length} of them shown: those in trouble or at work first` : "";
  say(by("devices-note"), answer.devices_total === 0 ? "No board has a key on this hub yet."
    : `${answer.devices_online} of ${answer.devices_total} online${more}.`);
  tables.models.update(models);
  say(by("models-note"), models.length === 0 ? "None is installed: python -m deployers deploy brings the first."
    : "MAE growth: what the type of its numbers costs against float Keras on the test part. Instructions: of one forecast on a Cortex-M7.");
  tables.jobs.update(jobs);
  by("jobs-note").hidden = jobs.length > 0;
  const rollback = by("rollback");
  rollback.hidden = answer.role !== "deploy" || answer.way_back === null;
  rollback.disabled = actions.isBusy;
  if (answer.way_back !== null) say(rollback, `Roll back version ${answer.active_version}`);
}

function showNames({ series, series_stamp: stamp, chosen }) {
  if (series !== null) {
    page.names = series;
    page.stamp = stamp;
    fill(by("series"), series.map((name) => [name, name]));
  }
  if (chosen !== null && by("series").value !== chosen.series) by("series").value = chosen.series;
}

/** Options of a select, the chosen one kept where it is still there. */
function fill(select, options) {
  const text = JSON.stringify(options);
  if (select.dataset.options === text) return;
  const value = select.value;
  select.replaceChildren(...options.map(([key, label]) => element("option", label, { value: key })));
  if (options.some(([key]) => key === value)) select.value = value;
  select.dataset.options = text;
}

function showSeries(chosen, since) {
  const isEmpty = chosen === null || chosen.chart === null;
  by("no-readings").hidden = !isEmpty;
  for (const id of ["chart-box", "last-box", "now"]) by(id).hidden = isEmpty || (id === "chart-box" && page.chart === null);
  if (isEmpty) {
    page.lines = null;
    say(by("error"), "");
    tables.leads({});
    tables.versions({});
    return true;
  }
  const leads = Array.from({ length: chosen.horizon }, (_, step) => [String(step + 1), `${span((step + 1) * chosen.cadence_ms)} ahead`]);
  fill(by("lead"), leads);
  if (chosen.horizon) by("lead").value = String(chosen.lead);
  by("lead").disabled = chosen.horizon === 0;
  const key = JSON.stringify([chosen.series, by("hours").value, by("lead").value]);
  if (key !== page.shown) page.chart?.reset();
  const lines = merged(key === page.shown && since !== null ? page.lines : null, chosen.chart);
  page.shown = key;
  page.lines = lines;
  if (lines !== null) showLines(chosen, lines);
  return lines !== null;
}

function showLines(chosen, lines) {
  const newest = chosen.newest.board ?? chosen.newest.hub;
  const from = lines.readings.findLast(([ms]) => ms === newest?.time_ms);  // the forecast's line begins at its reading
  page.chart?.update(lines, [...(from ? [from] : []), ...(newest?.values ?? [])], chosen.cadence_ms, chartText(lines, chosen.cadence_ms));
  tables.last.update(lastRows(lines, LAST_ROWS, chosen.cadence_ms / 2));
  showFigures(chosen, lines);
  say(by("error"), errorText(chosen.error));
  tables.leads(chosen.error);
  tables.versions(chosen.versions);
}

function showFigures({ newest, lead, cadence_ms: step }, { readings }) {
  const [ms, value] = readings.at(-1);
  const figures = [[`Reading of ${moment(ms, step)}`, celsius(value)]];
  for (const [source, name] of [["board", "Board"], ["hub", "Hub"]]) {
    const made = newest[source];
    const ahead = made?.values[lead - 1];
    const state = made?.slot_state === 1 && source === "board" ? ", in test" : "";
    if (ahead) figures.push([`${name} v${made.version}${state}, in ${span(lead * step)}`, celsius(ahead[1])]);
  }
  const box = by("now");
  while (box.children.length > figures.length) box.lastChild.remove();
  figures.forEach(([label, text], index) => {
    if (!box.children[index]) {
      const pair = element("div");
      pair.append(element("dt"), element("dd"));
      box.append(pair);
    }
    const [dt, dd] = box.children[index].children;
    say(dt, label);
    say(dd, text);
  });
}

/** MAE of the last day: board 0.13 °C, hub 0.13 °C, persistence 0.21 °C. */
function errorText(errors) {
  const known = Object.entries(errors).filter(([, error]) => error !== null);
  if (known.length === 0) return "No forecast is old enough to be compared with readings yet.";
  const [, longest] = known.reduce((best, one) => (one[1].count > best[1].count ? one : best));
  const when = longest.span_ms >= WHOLE_DAY_MS ? "day" : span(longest.span_ms);
  const parts = known.map(([source, { model }]) => `${source}'s model ${degrees(model)} °C`);
  return `MAE of the last ${when}: ${parts.join(", ")}, persistence ${degrees(longest.persistence)} °C`;
}

// --- what people do ---

by("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  api.keepToken(by("token").value.trim());
  start();
});
by("leave").addEventListener("click", () => signIn());
by("dismiss").addEventListener("click", () => { by("message").hidden = true; });
by("retry").addEventListener("click", () => ask());
by("rollback").addEventListener("click", () => actions.rollback(page.answer.active_version, page.answer.way_back));
for (const id of ["series", "hours", "lead"]) by(id).addEventListener("change", () => ask());
for (const box of document.querySelectorAll("[data-line]")) {
  box.addEventListener("change", () => page.chart?.toggle(Number(box.dataset.line), box.checked));
}
document.addEventListener("visibilitychange", () => {
  // A page that nobody sees asks nothing.
  if (document.hidden) clearTimeout(page.timer);
  else if (by("sign-in").hidden) ask();
});
addEventListener("hashchange", () => {
  if (new URLSearchParams(location.hash.slice(1)).has("token")) {
    api.takeToken();
    start();
  }
});

const library = await loadLibrary();
if (library === null) {
  say(by("no-chart"), NO_LIBRARY);
  by("no-chart").hidden = false;
  by("last-box").open = true;
} else {
  monitor.library = library;
  shadow.library = library;
  page.chart = new Chart(library, by("chart"), by("point"), by("unzoom"));
}
if (api.takeToken()) start();
else signIn();
