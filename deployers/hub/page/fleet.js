// Where rollouts over the fleet stand, as the deployer told this hub: waves, and a chip for each of their devices.

import * as api from "./api.js";
import { Polling } from "./polling.js";
import { element, say } from "./table.js";
import { ago, moment } from "./words.js";

const CHIPS = 24; // of a wave; the others are counted
const OLD_MS = 2 * 3_600_000; // a rollout that goes on is told of more often than that
const KIND = { through: "good", watched: "good", "runs it": "good", failed: "bad", "left out": "bad" }; // waves, devices
const KIND_OF_ALL = { confirmed: "good", "goes back": "bad", "rolled back": "bad" };
const ENDED = new Set(["confirmed", "rolled back", "given up"]);

const by = (id) => document.getElementById(id);
const kindOf = (state) => (Object.hasOwn(KIND, state) ? KIND[state] : "");

export class Fleet {
  #shown = "";
  #polling = new Polling(api.rollouts, (found) => this.#show(found));

  /** Show what the hub was told, asked anew where that is old. */
  follow() {
    return this.#polling.follow();
  }

  #show({ rollouts, now_ms: now }) {
    by("fleet-box").hidden = rollouts.length === 0;
    const box = by("fleet");
    const text = JSON.stringify(rollouts.map(({ told_ms: _, numbers: __, ...rest }) => rest));
    if (text !== this.#shown) box.replaceChildren(...rollouts.map(block)); // else a selection of text stays
    this.#shown = text;
    rollouts.forEach((rollout, index) => say(box.children[index].querySelector(".told"), toldText(rollout, now)));
  }
}

/** One partition. */
function block({ partition, model, version, state, reason, since, waves, jetson, left_out: leftOut, back }) {
  const made = element("article", "", { class: "rollout" });
  const line = element("p");
  const begun = Number.isNaN(Date.parse(since)) ? since : `${moment(Date.parse(since), OLD_MS)} UTC`;
  line.append(element("span", state, { class: Object.hasOwn(KIND_OF_ALL, state) ? KIND_OF_ALL[state] : "" }), reason ? `: ${reason}` : "");
  made.append(element("h3", `${partition}: ${model} version ${version}`), line);
  const told = element("p", `Since ${begun}, `, { class: "hint" });
  told.append(element("span", "", { class: "told" }));
  made.append(told);
  const list = element("ol", "", { class: "waves" });
  list.append(...waves.map((wave) => waveOf(wave, jetson)));
  made.append(list);
  const notes = [...Object.entries(leftOut).map(([name, why]) => `${name} was left out: ${why}`),
    ...Object.entries(back).map(([name, said]) => `${name} went back: ${said}`)];
  made.append(...notes.slice(0, CHIPS).map((note) => element("p", note, { class: "hint" })));
  if (notes.length > CHIPS) made.append(element("p", `and ${notes.length - CHIPS} more`, { class: "hint" }));
  return made;
}

/** One wave: those of this hub first, then those in trouble, then the others as they are told. */
function waveOf({ name, state, devices }, jetson) {
  const made = element("li");
  const title = element("p", `${name}: `, { class: "wave" });
  title.append(element("span", state, { class: kindOf(state) }));
  const isOwn = (device) => device === jetson || device.startsWith(`${jetson}/`);
  const rank = ([device, how]) => (isOwn(device) ? 0 : kindOf(how) === "bad" ? 1 : 2);
  const sorted = Object.entries(devices).sort((one, other) => rank(one) - rank(other));
  const chips = element("ul", "", { class: "chips" });
  chips.append(...sorted.slice(0, CHIPS).map(([device, how]) => chip(device, how, isOwn(device))));
  if (sorted.length > CHIPS) chips.append(element("li", `and ${moreText(sorted.slice(CHIPS))}`, { class: "more" }));
  made.append(title, chips);
  return made;
}

function chip(device, state, isOwn) {
  const made = element("li", "", { class: ["chip", kindOf(state), isOwn ? "own" : ""].filter(Boolean).join(" ") });
  made.append(element("b", device), element("span", state, { class: kindOf(state) }));
  if (isOwn) made.append(element("i", "this hub"));
  return made;
}

/** What is not shown one by one: 40 more: 30 runs it, 10 to come. */
function moreText(rest) {
  const counts = new Map();
  for (const [, state] of rest) counts.set(state, (counts.get(state) ?? 0) + 1);
  return `${rest.length} more: ${[...counts].map(([state, count]) => `${count} ${state}`).join(", ")}`;
}

function toldText({ told_ms: told, state }, now) {
  const isOld = !ENDED.has(state) && now - told > OLD_MS;
  return `told ${ago(told, now)}${isOld ? ", which is long: it may stand elsewhere by now" : ""}`;
}
