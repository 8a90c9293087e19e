/** An error with a stable code, for callers that decide by it; the message is for people. */
export class KeylineError extends Error {
  readonly code: string;
  /** Where the offending value stands, e.g. `body.plan` or a setting's name. */
  readonly path: string | undefined;
  /** The offending value itself. */
  readonly value: unknown;
  /** True when the same call may succeed later. */
  readonly retryable: boolean;

  constructor(
    code: string,
    message: string,
    details: { path?: string; value?: unknown; retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "KeylineError";
    this.code = code;
    this.path = details.path;
    this.value = details.value;
    this.retryable = details.retryable ?? false;
  }
}

/** Why a `fetch` failed: its own message says only that it did. */
export function fetchFailure(thrown: unknown): string {
  const { message, cause } = toError(thrown);
  return cause instanceof Error ? cause.message || message : message;
}

/** Anything that was thrown, as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
