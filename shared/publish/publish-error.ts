import type { Update } from "../domain/envelope.ts";
import { KeylineError } from "../runtime/errors.ts";

/**
 * Neither path is known to have the update. Either may have it all the same (an answer got lost): pass
 * `update` to `resend`, which keeps its identity, instead of publishing a second time.
 */
export class PublishError extends KeylineError {
  readonly update: Update;

  constructor(update: Update, failures: Error[]) {
    const reasons = failures.map((failure) => failure.message).join("; ");
    super("publish_failed", `neither path took the update in time: ${reasons}`, {
      retryable: true,
      cause: new AggregateError(failures),
    });
    this.update = update;
  }
}
