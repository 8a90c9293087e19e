import { PublishError } from "../../shared/publish/publish-error.ts";
import type { Publisher, Receipt } from "../../shared/publish/publisher.ts";
import type { UpdateInput } from "../../shared/publish/update-input.ts";
import type { Route } from "../../shared/routing/router.ts";
import { createPace } from "../../shared/runtime/pace.ts";
import type { Purchase } from "./purchases.ts";
import type { Verdict } from "./verdict.ts";

export type ReplayOptions = {
  publisher: Publisher;
  /** Where the publisher sends first now. */
  route(): Route;
  purchases: readonly Purchase[];
  ratePerSecond: number;
  passes: number;
  /** Updates under way at once; at the bound the replay waits. */
  maxUnderWay: number;
  /** Judges a pass once all of it is published. */
  judgePass(tenant: string): Promise<Verdict>;
  onVerdict(verdict: Verdict): void;
};

export type ReplayState = {
  stage: "replaying" | "judging" | "ended";
  tenant: string;
  pass: number;
  passes: number;
  /** Purchases of this pass that were given to the publisher, and how many the file has. */
  line: number;
  lines: number;
  /** All purchases given to the publisher since the start. */
  given: number;
  /** Updates that the route did not take in time and the other path did, under the same id. */
  rescued: number;
};

export type Replay = {
  state(): ReplayState;
  /** Rejects when an update can't be published at all: a defect. */
  done: Promise<void>;
  /** Publishes no more; resolves when nothing is under way. */
  stop(): Promise<void>;
};

/** Replays the purchases as live traffic, pass after pass, each for a tenant of its own. */
export function startReplay(options: ReplayOptions): Replay {
  const { publisher, purchases, passes } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Set<Promise<void>>();
  const state: ReplayState = {
    stage: "replaying",
    tenant: tenantOf(1),
    pass: 1,
    passes,
    line: 0,
    lines: purchases.length,
    given: 0,
    rescued: 0,
  };

  async function publish(purchase: Purchase): Promise<void> {
    const { path: first } = options.route();
    const receipt = await publishOrResend(updateOf(state.tenant, purchase));
    if (receipt && receipt.path !== first) state.rescued += 1;
  }

  /** As a careful client does: what neither path took is sent again under its own identity. */
  async function publishOrResend(input: UpdateInput): Promise<Receipt | undefined> {
    let attempt = () => publisher.publish(input);
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof PublishError)) throw error;
        if (signal.aborted) return undefined;
        attempt = () => publisher.resend(error.update);
      }
    }
  }

  async function runPass(): Promise<void> {
    const turn = createPace(() => options.ratePerSecond);
    for (const purchase of purchases) {
      await turn(signal);
      while (underWay.size >= options.maxUnderWay) await Promise.race(underWay);
      signal.throwIfAborted();
      state.line += 1;
      state.given += 1;
      const publishing = publish(purchase);
      underWay.add(publishing);
      publishing.then(() => underWay.delete(publishing), fail);
    }
    await Promise.all(underWay);
  }

  const { promise: failure, reject: fail } = Promise.withResolvers<never>();

  async function run(): Promise<void> {
    for (let pass = 1; pass <= passes; pass += 1) {
      Object.assign(state, { stage: "replaying", tenant: tenantOf(pass), pass, line: 0 });
      await runPass();
      state.stage = "judging";
      options.onVerdict(await options.judgePass(state.tenant));
    }
    state.stage = "ended";
  }

  const done = Promise.race([run(), failure]).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  return {
    state: () => ({ ...state }),
    done,
    async stop() {
      stopping.abort();
      await Promise.allSettled([done, ...underWay]);
    },
  };
}

function tenantOf(pass: number): string {
  return pass === 1 ? "cdnow" : `cdnow-${pass}`;
}

function updateOf(tenant: string, { line, customer, date, cds, cents }: Purchase): UpdateInput {
  const dollars = cents / 100;
  return {
    tenant,
    userId: customer,
    id: `line-${line}`,
    at: new Date(date),
    ops: [
      { kind: "event", body: { name: "purchase", properties: { cds, dollars } } },
      { kind: "increment", body: { purchases: 1, cds, dollars } },
      { kind: "set", body: { lastPurchase: date } },
    ],
  };
}
