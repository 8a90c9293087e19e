/**
 * The way of an update through this service, top to bottom:
 *
 *   receive     from the queues, always, as long as there is room in flight; of bulk, as little as live updates leave
 *   deliver     to the mailbox of its key, which is the user's; live ones have their turn first
 *   decode      what the mailbox holds, once it is its turn: an envelope of ours, or a minimal message of any
 *               program; what can't be read is parked, and what is another user's moves to that mailbox
 *   limit       what is over its user's limit is skipped or parked, where the tenant says so
 *   fold        all of it on the profile as this process knows it
 *   save        by compare-and-set, the turns of many users in one round
 *   follow up   after the store's reply: list members, note the user's next moment, announce who entered or left
 *   settle      acknowledge, or park what can never apply and then acknowledge; what came over the fallback queue is
 *               kept for the ledger before that
 *
 * Nothing is acknowledged before its effect is in the store or its dead letter is durable. A failed save is
 * tried again in place and holds up its user only.
 */
import type { DecodeLimits } from "../../shared/domain/decode.ts";
import { type Refusal, refuse } from "../../shared/domain/refusal.ts";
import { stampTimeMs } from "../../shared/domain/stamp.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import type { Consumer, Delivery, FallbackConsumer } from "../../shared/ports/update-queue.ts";
import type { DeadLetterOffice } from "./dead-letter.ts";
import type { DefinitionWatch } from "./definition-watch.ts";
import type { Fate, FoldLimits } from "./fold-turn.ts";
import type { HotUsers } from "./hot-users.ts";
import type { Intake } from "./intake.ts";
import { createIntakes, type IntakeLimits } from "./intakes.ts";
import type { LedgerKeeper } from "./ledger-keeper.ts";
import { createMailboxes, type Mailboxes, type MailboxLimits } from "./mailboxes.ts";
import { createMessageOpener, type Item } from "./open-messages.ts";
import { createProfileCache } from "./profile-cache.ts";
import { restMs } from "./rest.ts";
import { type RoundOptions, runRound } from "./run-round.ts";
import type { EffectRunner } from "./turn-effects.ts";
import type { FlowCounts, UpdateMetrics } from "./update-metrics.ts";

export type FlowLimits = DecodeLimits &
  FoldLimits &
  IntakeLimits &
  MailboxLimits & {
    maxCacheBytes: number;
  };

export type FlowOptions = {
  primary: Consumer;
  bulk: Consumer;
  fallback: FallbackConsumer;
  store: ProfileStore;
  deadLetters: DeadLetterOffice;
  keeper: LedgerKeeper;
  definitions: Pick<DefinitionWatch, "isFresh" | "refresh" | "of">;
  effects: EffectRunner;
  hotUsers: HotUsers;
  limits: FlowLimits;
  metrics: UpdateMetrics;
  now(): number;
  onStoreFailure(error: Error): void;
};

export type UpdateFlow = {
  /** Starts receiving. */
  start(): void;
  /** Stops asking, finishes what is in hand, for at most `timeoutMs`; true when nothing was left. */
  drain(timeoutMs: number): Promise<boolean>;
  counts(): FlowCounts;
  /** Goes by these from now on. */
  tune(limits: Partial<FlowLimits>): void;
  /** Live messages from Pulsar: in hand now, and received since the start. */
  fromPulsar(): { inHand: number; received: number };
};

export function createUpdateFlow(options: FlowOptions): UpdateFlow {
  // A copy of its own, which `tune` changes.
  const limits = { ...options.limits };
  const { metrics, store, deadLetters, keeper, definitions, effects, hotUsers, now } = options;
  const cache = createProfileCache({ maxBytes: limits.maxCacheBytes });
  const intakes = createIntakes(options, limits, now);
  const toAcknowledge = new Map<Intake, Delivery[]>();
  const unreadable = new Set<string>();
  const open = createMessageOpener({
    ...{ limits, hotUsers, deadLetters, metrics, now },
    sendOn: (key, item) => mailboxes.deliver(key, item, item.intake.priority),
  });
  const mailboxes: Mailboxes<Item> = createMailboxes<Item>({
    limits,
    async runRound(turns) {
      const result = await runRound(turns, round);
      acknowledgeSettled();
      for (const finished of new Set(result.finishing.values())) void finished.then(acknowledgeSettled);
      return result;
    },
    parkSurplus: ({ delivery, intake }, held) =>
      void deadLetters.park(delivery, intake, refuseSurplus(delivery.key, held)),
    keepOwn: (key, items) => open(key, items).map(({ item }) => item),
    restMs,
  });
  const round: RoundOptions<Item> = {
    store,
    cache,
    definitions,
    effects,
    limits,
    now,
    open,
    settle,
    onConflict: metrics.conflict,
    onFailure(error: Error) {
      metrics.storeFailure();
      options.onStoreFailure(error);
    },
    unreadable,
  };

  function settle(items: readonly Item[], fates: readonly Fate[]): void {
    items.forEach(({ delivery, intake }, index) => {
      const fate = fates[index]!;
      if (fate.outcome === "refused") {
        void deadLetters.park(delivery, intake, fate.refusal, fate.stack);
        return;
      }
      const settled = toAcknowledge.get(intake);
      if (settled) settled.push(delivery);
      else toAcknowledge.set(intake, [delivery]);
      intakes.onSettled(intake, delivery);
      metrics.applied(fate.outcome, delivery.path, intake.priority, now() - stampTimeMs(fate.stamp));
    });
  }

  /** Once a round, not once an update. */
  function acknowledgeSettled(): void {
    const settled = [...toAcknowledge];
    toAcknowledge.clear();
    for (const [intake, deliveries] of settled) intake.acknowledge(deliveries);
  }

  return {
    start() {
      for (const intake of intakes.all)
        void intake.receive((delivery) => {
          const arrivals = hotUsers.arrived(delivery.key);
          mailboxes.deliver(delivery.key, { delivery, intake, arrivals }, intake.priority);
        });
    },
    async drain(timeoutMs) {
      for (const intake of intakes.all) intake.stop();
      const drained = Promise.all(intakes.all.map(({ inFlight }) => inFlight.drained())).then(() => true);
      const timedOut = Promise.withResolvers<boolean>();
      const timer = setTimeout(timedOut.resolve, timeoutMs, false);
      const clean = await Promise.race([drained, timedOut.promise]);
      clearTimeout(timer);
      for (const { inFlight } of intakes.all) inFlight.close();
      deadLetters.close();
      keeper.close();
      effects.close();
      mailboxes.close();
      return clean;
    },
    tune(changed) {
      const { maxCacheBytes } = limits;
      Object.assign(limits, changed);
      if (limits.maxCacheBytes !== maxCacheBytes) cache.resize(limits.maxCacheBytes);
      for (const { inFlight } of intakes.all) inFlight.recheck();
      mailboxes.recheck();
    },
    fromPulsar: () => ({ inHand: intakes.live.inFlight.messages(), received: intakes.live.received() }),
    counts: () => ({
      ...mailboxes.counts(),
      unreadable: unreadable.size,
      bulk: intakes.bulk.inFlight.messages(),
      bulkWindow: intakes.bulkWindow(),
      messages: intakes.all.reduce((sum, { inFlight }) => sum + inFlight.messages(), 0),
      bytes: intakes.all.reduce((sum, { inFlight }) => sum + inFlight.bytes(), 0),
      cachedProfiles: cache.size(),
    }),
  };
}

function refuseSurplus(key: string, held: number): Refusal {
  const message = `${held} updates of this user wait already, whose saves fail; replay it once they don't`;
  return refuse("user_over_share", "", key, message);
}
