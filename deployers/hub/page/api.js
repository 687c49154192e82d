// The hub's REST interface as this page uses it.

const KEY = "edgeloop.token";
const PATIENCE_MS = 10_000;

/** An answer that is no success, or none at all (then status is 0). */
export class HubError extends Error {
  constructor(status, text, retrySeconds = 0) {
    super(text);
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

/** The token of this tab: from the address's fragment, which is then removed from the address bar, else as kept. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    keepToken(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      headers: { ...options.headers, Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    // A token with characters that no header can carry never leaves the browser: it is as wrong as any other.
    const unsendable = error instanceof TypeError && /header|ISO-8859-1/i.test(error.message);
    throw unsendable ? new HubError(401, "the token has characters that no token has") : new HubError(0, "no answer");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    const text = body?.detail ?? body?.title ?? `the hub answered ${answer.status}`;
    throw new HubError(answer.status, String(text), Number(answer.headers.get("Retry-After")) || 0);
  }
  if (body === null) throw new HubError(0, "an answer that is no JSON");
  return body;
}

/** What the page shows; `wanted` holds the query's parameters, of which empty ones are left out. */
export function live(wanted) {
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== null && value !== ""));
  return ask(`/live?${query}`);
}

/** Every series with its state, those in trouble first. */
export function monitored() {
  return ask("/monitor");
}

/** One series with its tests and its last days. */
export function monitoredSeries(series) {
  return ask(`/monitor/${series.split("/").map(encodeURIComponent).join("/")}`);
}

/** What may be retrained and why not, and the last requests. */
export function retrainings() {
  return ask("/retraining");
}

/** Have the model of a series trained again; the request. */
export function retrain(series, reason) {
  return ask("/retraining", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ series, reason }),
  });
}

/** Challengers, those that run first, and the rules that they are judged by. */
export function challengers() {
  return ask("/shadow");
}

/** Where rollouts over the fleet stand, the one that was told last first. */
export function rollouts() {
  return ask("/fleet");
}

/** Start a deployment of an installed version to every board; the job. */
export function deploy(version) {
  return ask("/deploy", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ version }),
  });
}

/** Go back to the model that ran before, on hub and boards; the job. */
export function rollback() {
  return ask("/rollback", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
}
