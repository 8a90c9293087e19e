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

/** Resolves with the name of the first SIGTERM or SIGINT; a second one ends the process at once. */
export function shutdownSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let signals = 0;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) process.exit(1);
      resolve(signal);
    });
  }
  return promise;
}
