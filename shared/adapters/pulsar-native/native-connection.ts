import type { Client } from "pulsar-client";
import type { Topic } from "../../ports/primary-queue.ts";
import { KeylineError, toError } from "../../runtime/errors.ts";

/**
 * One native client that is replaced as a whole when it is dead.
 *
 * The native client notices a half-open connection after 30 to 60 s only, and after a long outage it waits up
 * to a minute before it tries again; neither can be set from Node. So this asks it something every second, and
 * when two answers in a row are missing it starts a new client and opens on it all that was open.
 */
export type NativeConnection = {
  /** Opens something on the client, again and again until it works, and anew on each new client. */
  keepOpen<T extends NativeResource>(topic: Topic, opening: Opening<T>): KeptOpen;
  close(): Promise<void>;
};

export type NativeResource = { close(): Promise<unknown> };

export type Opening<T> = {
  open(client: Client): Promise<T>;
  onOpen(resource: T): void;
  /** The resource belongs to a client that was given up. */
  onLost(resource: T, problem: KeylineError): void;
};

export type KeptOpen = {
  problem(): KeylineError | undefined;
  close(): Promise<void>;
};

export type NativeTimings = {
  /** Between two questions, and what a missing answer is counted by. */
  probeIntervalMs: number;
  minBackoffMs: number;
  maxBackoffMs: number;
  /** How long a goodbye may take. */
  closeTimeoutMs: number;
};

/** With one missed answer more than this, the client is dead. */
const MAX_MISSED_ANSWERS = 1;

type Entry = {
  start(): void;
  /** Opens it anew on the client of now. Resolves when what was open is closed, or that took too long. */
  lose(problem: KeylineError): Promise<void>;
};

export function createNativeConnection(
  newClient: () => Client,
  timings: NativeTimings,
  onProblem: (problem: KeylineError) => void,
): NativeConnection {
  let client = newClient();
  const entries = new Map<Entry, Topic>();
  let probe: { answered: boolean; missed: number } = { answered: true, missed: 0 };
  const heartbeat = setInterval(beat, timings.probeIntervalMs);

  /** Counts ticks and not time: a process that was itself stopped must not take that for a dead client. */
  function beat(): void {
    const [topic] = entries.values();
    if (topic === undefined) return;
    if (probe.answered) {
      const asked = { answered: false, missed: 0 };
      probe = asked;
      const onAnswer = () => {
        asked.answered = true;
      };
      // A refusal is an answer too.
      client.getPartitionsForTopic(topic).then(onAnswer, onAnswer);
    } else if (++probe.missed > MAX_MISSED_ANSWERS) replace();
  }

  function replace(): void {
    const problem = new KeylineError("queue_not_connected", "the broker does not answer", {
      retryable: true,
    });
    onProblem(problem);
    const dead = client;
    client = newClient();
    probe = { answered: true, missed: 0 };
    const closing = [...entries.keys()].map((entry) => entry.lose(problem));
    // Closing waits for the dead broker; nobody else needs to. The client comes last: it counts what it closes itself
    // on several threads, and may lose count and never answer, which keeps the process from its end.
    void Promise.all(closing).then(() => dead.close().catch(() => {}));
  }

  return {
    keepOpen(topic, opening) {
      const { entry, kept } = keep(() => client, opening, timings, onProblem);
      entries.set(entry, topic);
      entry.start();
      return {
        ...kept,
        close() {
          entries.delete(entry);
          return kept.close();
        },
      };
    },
    async close() {
      clearInterval(heartbeat);
      await within(timings.closeTimeoutMs, client.close());
    },
  };
}

/** Every attempt belongs to one client; an attempt of a client that was replaced ends in nothing. */
function keep<T extends NativeResource>(
  current: () => Client,
  opening: Opening<T>,
  timings: NativeTimings,
  onProblem: (problem: KeylineError) => void,
): { entry: Entry; kept: KeptOpen } {
  let resource: T | undefined;
  let problem: KeylineError | undefined;
  let failedAttempts = 0;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;
  let attempt: Promise<void> = Promise.resolve();

  async function open(client: Client): Promise<void> {
    try {
      const opened = await opening.open(client);
      if (closed || client !== current()) {
        await within(timings.closeTimeoutMs, opened.close());
        return;
      }
      resource = opened;
      problem = undefined;
      failedAttempts = 0;
      opening.onOpen(opened);
    } catch (thrown) {
      if (closed || client !== current()) return;
      const cause = toError(thrown);
      problem = new KeylineError("queue_not_connected", cause.message, { retryable: true, cause });
      onProblem(problem);
      const ceilingMs = Math.min(timings.maxBackoffMs, timings.minBackoffMs * 2 ** failedAttempts);
      failedAttempts += 1;
      retry = setTimeout(start, (ceilingMs * (1 + Math.random())) / 2);
    }
  }

  function start(): void {
    attempt = open(current());
  }

  return {
    entry: {
      start,
      async lose(why) {
        clearTimeout(retry);
        const lost = resource;
        resource = undefined;
        problem = why;
        if (lost !== undefined) opening.onLost(lost, why);
        start();
        // Closing the client is not enough: a reader's listener holds the event loop until the reader itself is closed.
        if (lost !== undefined) await within(timings.closeTimeoutMs, lost.close());
      },
    },
    kept: {
      problem: () => problem,
      async close() {
        closed = true;
        clearTimeout(retry);
        if (resource !== undefined) await within(timings.closeTimeoutMs, resource.close());
        else await within(timings.closeTimeoutMs, attempt);
      },
    },
  };
}

/** Waits for something at most this long, whatever becomes of it. */
async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.catch(() => {}), timeout]);
  clearTimeout(timer);
}
