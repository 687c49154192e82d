// Lines of the chart: pure functions over what GET /live answers. A line is an array of [ms, °C], sorted by ms.

const NAMES = ["readings", "board", "hub"];

/**
 * The lines after an answer.
 *
 * An answer to `since` replaces everything from its `from_ms` on. `kept` counts what must be left before it: where a
 * count differs, something arrived late or another series answered, and null asks for everything again.
 */
export function merged(old, chart) {
  if (chart.from_ms === null) return chart.lines;
  if (old === null) return null;
  const lines = {};
  for (const name of NAMES) {
    const before = old[name].filter(([ms]) => ms >= chart.window_start_ms && ms < chart.from_ms);
    if (before.length !== chart.kept[name]) return null;
    lines[name] = before.concat(chart.lines[name]);
  }
  return lines;
}

/**
 * Rows for the chart: [Date, reading, board, hub, newest].
 *
 * null is joined by the line, NaN breaks it: a hole of more than `gapMs` between readings stays visible.
 */
export function rows(lines, newest, gapMs) {
  const found = new Map();
  const put = (ms, column, value) => {
    if (!found.has(ms)) found.set(ms, [new Date(ms), null, null, null, null]);
    found.get(ms)[column] = value;
  };
  NAMES.forEach((name, index) => {
    let before = null;
    for (const [ms, celsius] of lines[name]) {
      if (before !== null && ms - before > gapMs) put(before + 1, index + 1, NaN);
      put(ms, index + 1, celsius);
      before = ms;
    }
  });
  for (const [ms, celsius] of newest) put(ms, 4, celsius);
  return [...found.values()].sort((a, b) => a[0] - b[0]);
}

/** The axis from the lowest to the highest value, at least `least` °C high: noise is not to look like weather. */
export function axisRange(table, least = 1) {
  const values = table.flatMap((row) => row.slice(1)).filter(Number.isFinite);
  if (values.length === 0) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max((least - (high - low)) / 2, (high - low) * 0.05);
  return [low - margin, high + margin];
}

/** The last `count` readings with the forecasts for the nearest moment, newest first. */
export function lastRows(lines, count, toleranceMs) {
  const near = (line, ms) => {
    let best = null;
    for (const point of line) {
      const apart = Math.abs(point[0] - ms);
      if (apart <= toleranceMs && (best === null || apart < Math.abs(best[0] - ms))) best = point;
    }
    return best === null ? null : best[1];
  };
  const last = lines.readings.slice(-count).reverse();
  return last.map(([ms, celsius]) => ({ ms, celsius, board: near(lines.board, ms), hub: near(lines.hub, ms) }));
}
