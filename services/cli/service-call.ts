/** A call to one of Keyline's services over HTTP. */
import { fetchFailure, KeylineError } from "../../shared/runtime/errors.ts";

/** The service's own code, path and value. */
export class RefusedByService extends KeylineError {}

/** Resolves with the answer. Rejects with `keyline_unreachable`, retryable, or a `RefusedByService`. */
export type ServiceCall = <T>(method: string, path: string, body?: object) => Promise<T>;

const PATIENCE_MS = 30_000;

/** @param setting by which the caller knows the URL, such as `KEYLINE_URL`. */
export function serviceCall({
  url,
  token,
  setting,
}: {
  url: string;
  token: string;
  setting: string;
}): ServiceCall {
  return async <T>(method: string, path: string, body?: object): Promise<T> => {
    const address = `${url.replace(/\/+$/, "")}${path}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(address, {
        method,
        headers: {
          ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      text = await response.text();
    } catch (error) {
      const text = `${setting}=${url} does not answer: ${fetchFailure(error)}`;
      throw new KeylineError("keyline_unreachable", text, { retryable: true });
    }
    const answer = parsed(text);
    if (response.ok && (answer !== undefined || response.status === 204)) return answer as T;
    const { error } = (answer ?? {}) as { error?: Record<string, string> };
    throw new RefusedByService(
      error?.code ?? "unexpected_answer",
      error?.message ?? `${address} answered ${response.status}`,
      {
        ...(error?.path === undefined ? {} : { path: error.path }),
        value: error?.value,
        retryable: response.status >= 500,
      },
    );
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
