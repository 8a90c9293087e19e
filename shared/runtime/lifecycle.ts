import type { Log } from "./log.ts";

/** What a process has opened, to be closed in reverse order. */
export type Lifecycle = {
  /** Remembers how to close something, and returns it. */
  own<T extends { close(): void | Promise<void> }>(name: string, resource: T): T;
  /** Closes everything, last opened first; a failure is logged and does not keep the rest open. */
  close(): Promise<void>;
};

export function createLifecycle(log: Log): Lifecycle {
  const owned: { name: string; close(): void | Promise<void> }[] = [];
  return {
    own(name, resource) {
      owned.push({ name, close: () => resource.close() });
      return resource;
    },
    async close() {
      for (let last = owned.pop(); last; last = owned.pop()) {
        try {
          await last.close();
        } catch (error) {
          log.error({ err: error, resource: last.name }, "could not close");
        }
      }
    },
  };
}

/** npm passes a signal on that the process group of a terminal or supervisor has got as well. */
const SAME_SIGNAL_MS = 500;

/** Resolves with the name of the first SIGTERM or SIGINT; another one later ends the process at once. */
export function shutdownSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let firstAtMs: number | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      firstAtMs ??= performance.now();
      if (performance.now() - firstAtMs > SAME_SIGNAL_MS) process.exit(1);
      resolve(signal);
    });
  }
  return promise;
}
