import { KeylineError, toError } from "../../runtime/errors.ts";

/** Requests to the admin REST API of one Pulsar cluster, below `/admin/v2/`. */
export type PulsarAdmin = {
  get<T>(path: string): Promise<T>;
  /** As `get`; undefined where the cluster says 404. */
  find<T>(path: string): Promise<T | undefined>;
  /** Resolves with false when the cluster says that it exists already (409). */
  create(path: string, body?: unknown): Promise<boolean>;
  set(path: string, body: unknown): Promise<void>;
};

export type PulsarAdminOptions = {
  /** For one request. Making a topic of many partitions is the longest. */
  timeoutMs?: number;
  /** Sent with each request, for instance `authorization`. */
  headers?: Readonly<Record<string, string>>;
};

/** The headers for a token of Pulsar's authentication; none where it is empty. */
export function authorization(token: string): Record<string, string> {
  return token === "" ? {} : { authorization: `Bearer ${token}` };
}

/**
 * Every function rejects with a KeylineError: `pulsar_admin_unavailable` when no answer comes or the cluster
 * says 5xx (retryable), `pulsar_admin_refused` for any other answer that is no success, with status and body.
 */
export function createPulsarAdmin(adminUrl: string, options: PulsarAdminOptions = {}): PulsarAdmin {
  const timeoutMs = options.timeoutMs ?? 30_000;

  async function request(method: string, path: string, body?: unknown): Promise<Answer> {
    const url = `${adminUrl.replace(/\/+$/, "")}/admin/v2/${path}`;
    const answer = await fetchText(url, {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: { "content-type": "application/json", ...options.headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { ...answer, what: `${method} ${url}` };
  }

  return {
    get: async (path) => succeeded(await request("GET", path)),
    find: async (path) => {
      const answer = await request("GET", path);
      return answer.status === 404 ? undefined : succeeded(answer);
    },
    create: async (path, body) => {
      const answer = await request("PUT", path, body);
      if (answer.status === 409) return false;
      succeeded(answer);
      return true;
    },
    set: async (path, body) => {
      succeeded(await request("POST", path, body));
    },
  };
}

type Answer = { status: number; body: string; what: string };

async function fetchText(url: string, init: RequestInit): Promise<{ status: number; body: string }> {
  try {
    const response = await fetch(url, init);
    return { status: response.status, body: await response.text() };
  } catch (thrown) {
    const error = toError(thrown);
    const why = error.cause === undefined ? error.message : toError(error.cause).message;
    const message = `Pulsar's admin API does not answer: ${init.method} ${url}: ${why}`;
    throw new KeylineError("pulsar_admin_unavailable", message, {
      value: url,
      retryable: true,
      cause: error,
    });
  }
}

function succeeded<T>({ status, body, what }: Answer): T {
  if (status >= 200 && status < 300) return (body === "" ? undefined : JSON.parse(body)) as T;
  const unavailable = status >= 500;
  const code = unavailable ? "pulsar_admin_unavailable" : "pulsar_admin_refused";
  const message = `Pulsar's admin API answered ${status} to ${what}: ${body.slice(0, 2000)}`;
  throw new KeylineError(code, message, { value: status, retryable: unavailable });
}
