// The page's tables: devices, models, jobs, errors, last readings.

import { LiveTable, element, say } from "./table.js";
import { ago, bytes, count, degrees, growth, moment, span } from "./words.js";

const by = (id) => document.getElementById(id);
const SLOT = { none: "no model", test: "in test", confirmed: "confirmed" };
const JOB = { done: "good", running: "warn" };

export function devicesTable(nowOf) {
  return new LiveTable(by("devices"), [
    { label: "Device", text: ({ id }) => id },
    { label: "State", text: ({ online }) => (online ? "online" : "offline"), kind: ({ online }) => (online ? "good" : "bad") },
    { label: "Version", number: true, text: ({ version }) => (version ? String(version) : "–") },
    { label: "Slot", text: slotText, kind: ({ slot_state }) => (slot_state === "test" ? "warn" : "") },
    { label: "Ring", text: ringText, kind: ({ ring }) => (ring?.dropped ? "warn" : "") },
    { label: "Last seen", text: ({ last_seen_ms }) => ago(last_seen_ms, nowOf()) },
    { label: "Firmware", text: ({ firmware }) => firmware ?? "–" },
    { label: "Doing", text: doingText },
  ], ({ id }) => id);
}

function slotText({ slot, slot_state }) {
  if (slot_state === null) return "–";
  return slot_state === "none" ? SLOT.none : `${"AB"[slot] ?? slot}, ${SLOT[slot_state] ?? slot_state}`;
}

function ringText({ ring }) {
  if (ring === null) return "–";
  const dropped = ring.dropped ? `, ${count(ring.dropped)} dropped` : "";
  return `${count(ring.held)} of ${count(ring.capacity)} waiting${dropped}`;
}

function doingText({ busy, transfer }) {
  if ((busy === "transfer" || busy === "carry") && transfer) return `${busy}, ${Math.floor((100 * transfer.done) / transfer.total)} %`;
  return busy ?? "–";
}

export function modelsTable(mayDeploy, deploy) {
  const button = ({ version }) => {
    const made = element("button", "Deploy", { type: "button", "aria-label": `Deploy version ${version}` });
    made.addEventListener("click", () => deploy(version));
    return made;
  };
  return new LiveTable(by("models"), [
    { label: "Version", text: ({ version }) => `Version ${version}` },
    { label: "State", text: modelState, kind: ({ is_active, state }) => (is_active ? "good" : state === "failed" ? "bad" : "") },
    { label: "Type", text: ({ type }) => type },
    { label: "MAE growth", number: true, text: ({ mae_growth }) => growth(mae_growth) },
    { label: "Size", number: true, text: ({ file_bytes }) => (file_bytes === null ? "–" : bytes(file_bytes)) },
    { label: "Instructions", number: true, text: ({ instructions }) => count(instructions) },
    { label: "From", text: ({ origin }) => origin || "a folder" },
    { label: "", node: button, refresh: (node, model) => {
      const [isShown, isReady] = mayDeploy(model);
      node.hidden = !isShown;
      node.disabled = !isReady;
      node.parentElement.className = isShown ? "wide plain" : "plain";
    } },
  ], ({ version }) => version);
}

function modelState({ is_active, state, reason, way_back_for }) {
  const parts = [is_active ? "active" : state];
  if (reason) parts.push(reason);
  if (way_back_for !== null) parts.push(`way back from ${way_back_for}`);
  return parts.join(", ");
}

export function jobsTable(nowOf) {
  const progress = () => {
    const box = element("span");
    box.append(element("progress", "", { max: "1", "aria-label": "Progress" }), element("span"));
    return box;
  };
  return new LiveTable(by("jobs"), [
    { label: "Job", text: ({ kind, subject }) => (subject ? `${kind} ${subject}` : kind) },
    { label: "State", text: ({ state }) => state, kind: ({ state }) => JOB[state] ?? "bad" },
    { label: "Began", text: ({ started_ms }) => ago(started_ms, nowOf()) },
    { label: "Took", text: ({ started_ms, ended_ms }) => (started_ms === null ? "–" : span((ended_ms ?? nowOf()) - started_ms)) },
    { label: "Detail", node: progress, refresh: (box, job) => {
      const [bar, text] = box.children;
      bar.hidden = job.ended_ms !== null || job.progress === null;
      if (!bar.hidden) bar.value = job.progress;
      say(text, ` ${job.error || job.outcome || job.now || ""}`);
      box.parentElement.className = "wide";
    } },
  ], ({ id }) => id);
}

const SOURCES = { board: "board", hub: "hub" };

/** Error by step ahead: a row a step; persistence as it is for the pairs of the source that has most. */
export function leadsTable() {
  const table = new LiveTable(by("leads"), [
    { label: "Ahead", text: ({ ahead_ms }) => span(ahead_ms) },
    ...Object.entries(SOURCES).map(([key, label]) => ({ label, number: true, text: (row) => degrees(row[key], 3) })),
    { label: "persistence", number: true, text: ({ persistence }) => degrees(persistence, 3) },
  ], ({ lead }) => lead);
  return (errors) => {
    const rows = new Map();
    for (const source of Object.keys(SOURCES)) {
      for (const { lead, ahead_ms, model, persistence } of errors[source]?.by_lead ?? []) {
        rows.set(lead, { lead, ahead_ms, persistence, ...rows.get(lead), [source]: model });
      }
    }
    table.update([...rows.values()].sort((a, b) => a.lead - b.lead));
    by("leads-box").hidden = rows.size === 0;
  };
}

/** Error by version: a row a version and who ran it, beside persistence at the same readings. */
export function versionsTable() {
  const table = new LiveTable(by("versions"), [
    { label: "Version", text: ({ version, source }) => `${version} on the ${source}` },
    { label: "For", number: true, text: ({ span_ms }) => span(span_ms) },
    { label: "model", number: true, text: ({ model }) => degrees(model, 3) },
    { label: "persistence", number: true, text: ({ persistence }) => degrees(persistence, 3) },
  ], ({ version, source }) => `${version} ${source}`);
  return (versions) => {
    const rows = Object.entries(versions).flatMap(([source, found]) => found.map((row) => ({ ...row, source: SOURCES[source] })));
    table.update(rows.sort((a, b) => b.version - a.version || a.source.localeCompare(b.source)));
  };
}

export function lastTable(stepOf) {
  return new LiveTable(by("last"), [
    { label: "Time", text: ({ ms }) => moment(ms, stepOf()) },
    { label: "reading", number: true, text: ({ celsius }) => degrees(celsius) },
    { label: "board", number: true, text: ({ board }) => degrees(board) },
    { label: "hub", number: true, text: ({ hub }) => degrees(hub) },
  ], ({ ms }) => ms);
}
