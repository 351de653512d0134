// Requests to the server. All addresses are relative: a proxy may put the page under any path.

import { matches } from "./matching.js";

/** A request that was not done; `status` is 0 where no answer came. */
export class RequestFailed extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Milliseconds for any answer: longer means that nobody is there. */
const PATIENCE = 15_000;

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      cache: "no-store",
      credentials: "same-origin",
      signal: AbortSignal.timeout(PATIENCE),
      ...options,
    });
  } catch (error) {
    throw new RequestFailed(0, String(error));
  }
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await response.json().catch(() => null) : null;
  if (!response.ok) {
    throw new RequestFailed(response.status, body?.detail ?? body?.title ?? response.statusText);
  }
  return body;
}

/** What the server says of itself. */
export const status = () => request("api/status");

/** The first clients that match, and how many match. */
export async function clients(contains, limit) {
  const query = new URLSearchParams({ limit });
  if (contains) query.set("contains", contains);
  const answer = await request(`api/clients?${query}`);
  const found = answer.clients.filter((client) => matches(client, contains));
  return { clients: found.slice(0, limit), total: answer.total ?? found.length };
}

/** Let one client go. */
export const disconnect = (number) => request(`api/clients/${number}`, { method: "DELETE" });

/** End the server in an orderly way. */
export const drain = () => request("api/drain", { method: "POST" });

/** Decide which faults new clients suffer. */
export const setFaults = (faults) =>
  request("api/faults", {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ faults }),
  });

/** Show the token, once: what stays is a cookie that no script can read. */
export const login = (token) =>
  request("api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
