/** What publishers send, and how often. */
import type { Operation } from "../../shared/domain/envelope.ts";
import { seededOperations } from "../support/seeded-updates.ts";
import type { World } from "./network.ts";
import type { RunningPublisher } from "./processes.ts";

export type Load = {
  /** Publishes from a random moment of the first seconds on, for as long as its process lives. */
  begin(publisher: RunningPublisher): void;
  /** Beside all else, one user of this publisher's is updated at this rate, so many times. */
  heat(publisher: RunningPublisher, perSecond: number, times: number): void;
  /** So many times as much as usual; has no effect once it has ended. */
  multiply(by: number): void;
  end(): void;
  /** Updates whose publish was called. */
  updates(): number;
};

const USERS = 25;
const HOT_USER = "user-0";
/** Mean time between two updates of a publisher. */
const EVERY_MS = 4_000;
/** Of the updates, the share that sets when the user's trial ends. */
const TRIAL_SHARE = 0.05;
const MAX_TRIAL_MS = 120_000;
/** Every so many updates one is bulk. */
const BULK_EVERY = 6;
/** Of the messages, the share that can never apply. */
const POISON_SHARE = 0.01;
const POISON = ["no JSON", "{}", '{"v":9,"tenant":"sim","userId":"user-1"}'];

export function createLoad({ time }: World): Load {
  let times = 1;
  let updates = 0;
  let poisons = 0;

  function publishOn(publisher: RunningPublisher): void {
    if (times === 0) return;
    const userId = `user-${Math.floor(time.random() ** 2 * USERS)}`;
    if (time.random() < POISON_SHARE) void publisher.poison(userId, pickPoison());
    publish(publisher, userId);
    const restMs = (-Math.log(1 - time.random()) * EVERY_MS) / times;
    time.after(restMs, () => publishOn(publisher), publisher.process);
  }

  function publish(publisher: RunningPublisher, userId: string): void {
    updates += 1;
    const ops = seededOperations(time.random);
    if (time.random() < TRIAL_SHARE) ops.push(trial());
    const priority = updates % BULK_EVERY === 0 ? "bulk" : "live";
    void publisher.publish({ userId, ops, priority, trace: `publish-${updates}` });
  }

  /** A moment that ends a membership, which is near and may have passed. */
  function trial(): Operation {
    const endsMs = time.now() + (time.random() - 0.1) * MAX_TRIAL_MS;
    return { kind: "set", body: { trial_ends: new Date(endsMs).toISOString() } };
  }

  function heat(publisher: RunningPublisher, perSecond: number, left: number): void {
    if (times === 0 || left === 0) return;
    publish(publisher, HOT_USER);
    time.after(1_000 / perSecond, () => heat(publisher, perSecond, left - 1), publisher.process);
  }

  /** Each is different, so that its dead letter can be told. */
  function pickPoison(): string {
    poisons += 1;
    const index = Math.floor(time.random() * POISON.length);
    return POISON[index]! + " ".repeat(poisons);
  }

  return {
    begin: (publisher) => time.after(time.random() * EVERY_MS, () => publishOn(publisher), publisher.process),
    heat,
    multiply(by) {
      if (times > 0) times = by;
    },
    end() {
      times = 0;
    },
    updates: () => updates,
  };
}

export function isPoison(payload: string): boolean {
  return POISON.includes(payload.trimEnd());
}
