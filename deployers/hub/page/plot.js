// A small plot of skill by day, drawn by dygraphs where it is installed.

import { say } from "./table.js";
import { degrees, moment } from "./words.js";

const DAY_MS = 86_400_000;

/** Lines over days: `labels` and `colours` (names of the style's) by column, `series` as dygraphs takes it. */
export class DayPlot {
  #graph = null;

  constructor(box, point, labels, colours, series) {
    Object.assign(this, { box, point, labels, colours, series });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#graph?.updateOptions(this.#shades()));
  }

  /** Draw rows of [Date, number or null, …], and say in words what they show. */
  update(library, rows, text) {
    this.box.setAttribute("aria-label", text);
    if (this.#graph === null) this.#graph = this.#made(library, rows);
    else this.#graph.updateOptions({ file: rows });
    this.#graph.resize();
  }

  #made(library, rows) {
    return new library(this.box, rows, {
      ...this.#shades(),
      labels: this.labels,
      labelsUTC: true,
      connectSeparatedPoints: true,
      strokeWidth: 2,
      drawPoints: true,
      pointSize: 2,
      xRangePad: 4,
      axisLabelFontSize: 12,
      interactionModel: {},
      axes: { y: { axisLabelWidth: 36 }, x: { axisLabelWidth: 60, pixelsPerLabel: 70 } },
      series: this.series,
      highlightCallback: (_event, ms, points) => {
        const parts = points.map(({ name, yval }) => `, ${name} ${degrees(yval, 3)}`);
        say(this.point, `: ${moment(ms, DAY_MS)}${parts.join("")}`);
      },
      unhighlightCallback: () => say(this.point, ""),
    });
  }

  #shades() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    return { colors: this.colours.map(colour), gridLineColor: colour("--line"), axisLineColor: colour("--line") };
  }
}
