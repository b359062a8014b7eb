// One place that talks HTTP to /api/v1.  Every failure becomes an ApiError
// whose message is fit for a person to read.
import type { Session } from "./types";

export const BASE = "/api/v1";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

let csrf = "";
let onUnauthorized: () => void = () => {};

/** The token of the present session, sent with all requests but GET. */
export function setCsrf(token: string): void {
  csrf = token;
}

/** Called when the server says that the session is over. */
export function setUnauthorizedHandler(handler: () => void): void {
  onUnauthorized = handler;
}

/** The API's error from a response's text, or one made from its status. */
export function errorOf(status: number, text: string): ApiError {
  try {
    const e = (JSON.parse(text) as { error?: Record<string, unknown> }).error;
    if (e && typeof e.message === "string" && e.message !== "")
      return new ApiError(status, String(e.code ?? ""), e.message);
  } catch {
    // Not JSON: a proxy's page, or an answer cut short.
  }
  const words: Record<number, string> = {
    401: "You are not logged in.",
    403: "Your role does not allow this.",
    404: "Not found.",
    413: "That is too large.",
    429: "Too many requests: wait a moment and try again.",
    503: "The controller cannot be reached just now.",
    504: "The controller did not answer in time.",
    507: "There is no room.",
  };
  return new ApiError(
    status,
    "",
    words[status] ?? `The server answered with status ${status}.`,
  );
}

export async function request<T>(
  method: string,
  path: string,
  body?: unknown,
  options: { signal?: AbortSignal; keepSession?: boolean } = {},
): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrf !== "") headers["X-CSRF-Token"] = csrf;
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      body: body === undefined ? null : JSON.stringify(body),
      signal: options.signal ?? null,
    });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new ApiError(
      0,
      "EHOSTUNREACH",
      "The controller cannot be reached. Check your connection and try again.",
    );
  }
  const text = await response.text();
  if (!response.ok) {
    const error = errorOf(response.status, text);
    if (response.status === 401 && !options.keepSession) onUnauthorized();
    throw error;
  }
  if (text === "") return {} as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(response.status, "EBADMSG", "The server's answer was cut short.");
  }
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> =>
  request<T>("GET", path, undefined, signal ? { signal } : {});
export const post = <T>(path: string, body: unknown = {}): Promise<T> =>
  request<T>("POST", path, body);
export const del = <T>(path: string): Promise<T> => request<T>("DELETE", path);

/** Ends the session at the server. */
export const logout = (): Promise<void> =>
  request<void>("POST", "/logout", undefined, { keepSession: true });

export const login = (user: string, password: string): Promise<Session> =>
  request<Session>("POST", "/login", { user, password }, { keepSession: true });

/** Sends 'file' as the body of a PUT to 'path'; reports bytes sent.  The promise
 * rejects with an ApiError; 'signal' cuts the upload short. */
export function putFile(
  path: string,
  file: Blob,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("PUT", BASE + path);
    xhr.setRequestHeader("Content-Type", "application/octet-stream");
    xhr.setRequestHeader("X-CSRF-Token", csrf);
    xhr.upload.onprogress = (e) => onProgress(e.loaded);
    xhr.onload = () => {
      if (xhr.status >= 200 && xhr.status < 300) return resolve();
      if (xhr.status === 401) onUnauthorized();
      reject(errorOf(xhr.status, xhr.responseText));
    };
    xhr.onerror = () =>
      reject(
        new ApiError(0, "EHOSTUNREACH", "The connection broke during the upload."),
      );
    xhr.onabort = () =>
      reject(new ApiError(0, "ECANCELED", "The upload was cancelled."));
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.send(file);
  });
}
