// The chart, drawn by dygraphs where it is installed.

import { axisRange, rows } from "./lines.js";
import { degrees, moment, span } from "./words.js";

const LIBRARY = "/static/dygraph.min.js";
const LABELS = ["time", "readings", "board", "hub", "newest"];
const COLOURS = ["--readings", "--board", "--hub", "--next"];
// A hole of this many steps breaks a line; fewer are a reading that went missing.
const GAP_STEPS = 3;

/** Load the library; null where the hub has none. */
export async function loadLibrary() {
  try {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = LIBRARY;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
  } catch {
    return null;
  }
  const library = globalThis.Dygraph;
  // Its own legend writes style attributes, which the page's security policy forbids; the page has a legend already.
  library.PLUGINS = library.PLUGINS.filter((plugin) => plugin !== library.Plugins.Legend);
  return library;
}

export class Chart {
  #graph = null;
  #table = [];

  constructor(library, box, point, unzoom) {
    this.library = library;
    this.box = box;
    this.point = point;
    this.unzoom = unzoom;
    this.stepMs = 0;
    this.visible = [true, true, true, true];
    unzoom.addEventListener("click", () => this.#graph?.resetZoom());
    const repaint = () => this.#graph?.updateOptions(this.#colours());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  }

  /** Show lines (see lines.js), the newest forecast's points, and a text that says the same to who does not see it. */
  update(lines, newest, stepMs, text) {
    this.stepMs = stepMs;
    this.#table = rows(lines, newest, GAP_STEPS * stepMs);
    this.box.setAttribute("aria-label", text);
    if (this.#table.length === 0) return;
    const shown = { file: this.#table, valueRange: this.#range() };
    if (this.#graph === null) this.#graph = this.#made(shown);
    else this.#graph.updateOptions(this.#graph.isZoomed() ? { file: this.#table } : shown);
  }

  /** Forget where the viewer zoomed to: another series or span is shown next. */
  reset() {
    if (this.#graph?.isZoomed()) this.#graph.resetZoom();
  }

  /** Show or hide the line of this number. */
  toggle(line, visible) {
    this.visible[line] = visible;
    this.#graph?.setVisibility(line, visible);
  }

  #range() {
    return axisRange(this.#table);
  }

  #colours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    return { colors: COLOURS.map(colour), gridLineColor: colour("--line"), axisLineColor: colour("--line") };
  }

  #made({ file, valueRange }) {
    const { Dygraph: library } = globalThis;
    return new library(this.box, file, {
      ...this.#colours(),
      labels: LABELS,
      valueRange,
      visibility: this.visible,
      labelsUTC: true,
      connectSeparatedPoints: true,
      strokeWidth: 2,
      pointSize: 2,
      highlightCircleSize: 4,
      xRangePad: 4,
      animatedZooms: false,
      axisLabelFontSize: 12,
      axes: { y: { axisLabelWidth: 36 }, x: { axisLabelWidth: 50, pixelsPerLabel: 60 } },
      series: {
        board: { strokeWidth: 3.5 },
        hub: { strokePattern: [6, 4] },
        newest: { drawPoints: true, pointSize: 3, strokePattern: [2, 3] },
      },
      interactionModel: this.#interaction(library),
      highlightCallback: (_event, ms) => this.#say(ms),
      unhighlightCallback: () => { this.point.textContent = ""; },
      zoomCallback: () => this.#onZoom(),
    });
  }

  /** As the library has it, but one finger scrolls the page: two zoom and pan the chart. */
  #interaction(library) {
    const model = { ...library.defaultInteractionModel };
    for (const name of ["touchstart", "touchmove", "touchend"]) {
      const usual = model[name];
      model[name] = (event, graph, context) => {
        const isPinch = event.touches.length > 1 || context.pinches;
        context.pinches = event.touches.length > 1;
        if (isPinch && event.cancelable) usual(event, graph, context); // not while the page still scrolls
      };
    }
    delete model.dblclick;
    return model;
  }

  #onZoom() {
    this.unzoom.hidden = !this.#graph.isZoomed();
    if (this.unzoom.hidden) this.#graph.updateOptions({ valueRange: this.#range() });
  }

  /** Each visible line's value nearest to a moment, within half a step: lines have points at moments of their own. */
  #say(ms) {
    const parts = LABELS.slice(1).map((name, line) => {
      if (!this.visible[line]) return "";
      const near = this.#table.filter((row) => Number.isFinite(row[line + 1]) && Math.abs(row[0] - ms) <= this.stepMs / 2);
      if (near.length === 0) return "";
      const best = near.reduce((one, other) => (Math.abs(other[0] - ms) < Math.abs(one[0] - ms) ? other : one));
      return `, ${name} ${degrees(best[line + 1])}`;
    });
    this.point.textContent = `: ${moment(ms, this.stepMs)}${parts.join("")}`;
  }
}

/** What the chart shows, in words. */
export function chartText(lines, cadenceMs) {
  const { readings } = lines;
  if (readings.length === 0) return "No readings";
  const values = readings.map(([, celsius]) => celsius);
  const [first, last] = [readings[0], readings.at(-1)];
  return `Readings from ${moment(first[0], cadenceMs)} to ${moment(last[0], cadenceMs)}, one every ${span(cadenceMs)}: `
    + `between ${degrees(Math.min(...values))} and ${degrees(Math.max(...values))} °C, last ${degrees(last[1])} °C`;
}
