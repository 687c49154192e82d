// Numbers and times as people read them.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A temperature: 23.41 °C. */
export const celsius = (value) => (Number.isFinite(value) ? `${value.toFixed(2)} °C` : "–");

/** A temperature without its unit, for columns that name it. */
export const degrees = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : "–");

/** A moment of the readings' own clock: 2024-04-28 23:10, with seconds where steps are shorter than two minutes. */
export function moment(ms, stepMs) {
  const text = new Date(ms).toISOString();
  return text.slice(0, stepMs < 2 * MINUTE ? 19 : 16).replace("T", " ");
}

/** A moment of this machine's clock today: 12:31:05. */
export const clock = (date) => date.toTimeString().slice(0, 8);

/** How long something takes: < 1 s, 45 s, 10 min, 2 h 30 min, 3 days. */
export function span(ms) {
  if (ms < SECOND) return "< 1 s";
  if (ms < MINUTE) return `${Math.round(ms / SECOND)} s`;
  if (ms < HOUR) return ms % MINUTE === 0 || ms > 10 * MINUTE ? `${Math.round(ms / MINUTE)} min` : `${(ms / MINUTE).toFixed(1)} min`;
  if (ms < 2 * DAY) {
    const minutes = Math.round((ms % HOUR) / MINUTE);
    return minutes === 0 || minutes === 60 ? `${Math.round(ms / HOUR)} h` : `${Math.floor(ms / HOUR)} h ${minutes} min`;
  }
  return `${Math.round(ms / DAY)} days`;
}

/** How long ago, by the hub's clock. */
export function ago(ms, now) {
  if (ms === null) return "never";
  return now - ms < SECOND ? "now" : `${span(now - ms)} ago`;
}

/** Bytes: 9,472 B or 1.2 MB. */
export const bytes = (value) => (value < 1e6 ? `${value.toLocaleString("en")} B` : `${(value / 1e6).toFixed(1)} MB`);

/** A whole number with separators. */
export const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");

/** A fraction as a percentage with its sign: +0.31 %. */
export function growth(value) {
  if (!Number.isFinite(value)) return "–";
  const text = (100 * value).toFixed(2);
  return `${value > 0 && Number(text) !== 0 ? "+" : ""}${Number(text) === 0 ? "0.00" : text} %`;
}
