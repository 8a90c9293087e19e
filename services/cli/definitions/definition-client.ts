/** A tenant's definitions over the HTTP of the audience-update service. */
import { KeylineError, toError } from "../../../shared/runtime/errors.ts";

export type DefinitionChange = {
  version: number;
  added: string[];
  changed: string[];
  removed: string[];
};

/** One definition as the service shows it; what is used here. */
export type ListedDefinition = {
  name: string;
  version: number;
  since: string;
  enabled: boolean;
  type: string | null;
  definition: Record<string, unknown>;
  cost: { evaluationsPerSecond: number; busyMsPerSecond: number; failures: number; lastError?: string };
};
export type ListedDefinitions = {
  version: number;
  attributes: ListedDefinition[];
  audiences: ListedDefinition[];
  consumers: { name: string; version: number; upToDate: boolean }[];
};

export type DefinitionClient = {
  /** Each rejects with `keyline_unreachable`, retryable, or a `RefusedByService`. */
  put(tenant: string, set: object, options: { dryRun: boolean }): Promise<DefinitionChange>;
  list(tenant: string): Promise<ListedDefinitions>;
};

/** The service's own code, path and value. */
export class RefusedByService extends KeylineError {}

const PATIENCE_MS = 30_000;

export function createDefinitionClient({ url, token }: { url: string; token: string }): DefinitionClient {
  async function call<T>(method: string, path: string, body?: object): Promise<T> {
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
      const { message, cause } = toError(error);
      const why = cause instanceof Error ? cause.message || message : message;
      throw new KeylineError("keyline_unreachable", `KEYLINE_URL=${url} does not answer: ${why}`, {
        retryable: true,
      });
    }
    const answer = parsed(text);
    if (response.ok && answer !== undefined) return answer as T;
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
  }

  const of = (tenant: string) => `/v1/tenants/${encodeURIComponent(tenant)}/definitions`;
  return {
    put: (tenant, set, { dryRun }) => call("PUT", `${of(tenant)}${dryRun ? "?dryRun=true" : ""}`, set),
    list: (tenant) => call("GET", of(tenant)),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
