// Deploy and rollback: asked about first, then followed as a job until it has ended.

import * as api from "./api.js";
import { say } from "./table.js";

const by = (id) => document.getElementById(id);

let answer = () => {};

/** Ask; true if the answer is yes. Escape and a click on Cancel mean no. */
export function confirmed(title, text, yes, isDanger) {
  say(by("confirm-title"), title);
  say(by("confirm-text"), text);
  say(by("confirm-yes"), yes);
  by("confirm-yes").className = isDanger ? "danger" : "main";
  by("confirm").showModal();
  by("confirm-no").focus();
  return new Promise((resolve) => { answer = resolve; });
}

function close(isYes) {
  by("confirm").close();
  answer(isYes);
}

by("confirm-yes").addEventListener("click", () => close(true));
by("confirm-no").addEventListener("click", () => close(false));
// Comes late after a click, when the next question may be open already.
by("confirm").addEventListener("close", () => { if (!by("confirm").open) answer(false); });

/** How a job stands: the kind of notice, and its text. */
function standing({ title, state, error, now, outcome }) {
  if (state === "running") return ["", `${title}: ${now || "running"}`];
  if (state === "done") return ["good", `${title} is done${outcome ? `: ${outcome}` : ""}.`];
  return ["bad", `${title} ${state}: ${error || "the hub gave no reason"}`];
}

/** Follows the jobs that were started here; `tell(kind, text)` shows how they go, `asked()` has the page look anew. */
export class Actions {
  #followed = new Map();

  constructor(tell, asked) {
    this.tell = tell;
    this.asked = asked;
    this.isBusy = false;
  }

  async deploy(version, boards) {
    const where = boards === 1 ? "the board that is online" : `the ${boards} boards that are online`;
    const text = `Version ${version} goes to the hub and to ${where}. A board that does not agree with the hub goes back.`;
    if (await confirmed(`Deploy version ${version}?`, text, `Deploy version ${version}`, false)) {
      await this.#start(`Deployment of version ${version}`, () => api.deploy(version));
    }
  }

  async rollback(from, to) {
    const text = `Hub and boards go back from version ${from} to the model that ran before it, which is installed as version ${to}.`;
    if (await confirmed(`Roll back version ${from}?`, text, "Roll back", true)) {
      await this.#start(`Rollback of version ${from}`, () => api.rollback());
    }
  }

  /** Look at the jobs of an answer: say how those that were started here go, and how they ended. */
  follow(jobs) {
    for (const [id, title] of this.#followed) {
      const job = jobs.find((one) => one.id === id);
      if (job === undefined) continue;
      this.tell(...standing({ ...job, title }));
      if (job.state !== "running") this.#followed.delete(id);
    }
    this.isBusy = this.#followed.size > 0 || jobs.some(({ state, kind }) => state === "running" && kind !== "train");
  }

  async #start(title, ask) {
    this.isBusy = true;
    try {
      const { id } = await ask();
      this.#followed.set(id, title);
      this.tell("", `${title}: started`);
    } catch (error) {
      this.isBusy = false;
      this.tell("bad", `${title} was not started: ${error.message}`);
    }
    this.asked();
  }
}
