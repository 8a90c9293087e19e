/** Realistic bugs in the code that keeps the promises. The simulation must see each of them. */
export type Mutant = {
  name: string;
  file: string;
  /** Stands in the file exactly once. */
  from: string;
  to: string;
};

export const mutants: readonly Mutant[] = [
  {
    name: "acknowledges before the write",
    file: "services/audience-update/run-round.ts",
    from: "const writes = ready.flatMap(({ write }) => write ?? []);",
    to: "const writes = ready.flatMap(({ write }) => write ?? []); for (const { turn, fold } of ready) this.#options.settle(this.result.unsettled.get(turn)!.slice(0, fold.fates.length), fold.fates);",
  },
  {
    name: "takes a failed write for saved",
    file: "services/audience-update/run-round.ts",
    from: 'if (result === undefined || result.outcome === "saved") {',
    to: 'if (result === undefined || result.outcome !== "conflict") {',
  },
  {
    name: "takes a lost race for saved",
    file: "services/audience-update/run-round.ts",
    from: 'if (result === undefined || result.outcome === "saved") {',
    to: 'if (result === undefined || result.outcome !== "failed") {',
  },
  {
    name: "runs two turns of a user at once",
    file: "services/audience-update/mailboxes.ts",
    from: "if (mailbox) {",
    to: 'if (mailbox && mailbox.mode !== "running") {',
  },
  {
    name: "drops what a failed turn held",
    file: "services/audience-update/mailboxes.ts",
    from: "[...left, ...mailbox.items]",
    to: "mailbox.items",
  },
  {
    name: "forgets a user that rests",
    file: "services/audience-update/mailboxes.ts",
    from: "      wait(mailbox);\n      pumpSoon();\n    }, options.restMs",
    to: "    }, options.restMs",
  },
  {
    name: "acknowledges poison before its dead letter is durable",
    file: "services/audience-update/dead-letter.ts",
    from: "for (let failures = 1; !(await send(letter, payload)); failures += 1) {",
    to: "void send(letter, payload);\n      for (let failures = 1; failures < 1; failures += 1) {",
  },
  {
    name: "holds as much as comes",
    file: "services/audience-update/intake.ts",
    from: "const room = await inFlight.room();",
    to: "const room = MAX_RECEIVE;",
  },
  {
    name: "remembers the highest number only",
    file: "shared/domain/seen.ts",
    from: 'if (seq > intervals[i + 1]!) return "new";',
    to: 'return seq > intervals[i + 1]! ? "new" : "seen";',
  },
  {
    name: "keeps few gaps of a source",
    file: "shared/domain/seen.ts",
    from: "const MAX_INTERVALS = 4_096;",
    to: "const MAX_INTERVALS = 64;",
  },
  {
    name: "counts repeats",
    file: "shared/domain/apply.ts",
    from: 'if (sighting === "seen") return "repeat";',
    to: "",
  },
  {
    name: "lets the last to arrive win",
    file: "shared/domain/apply.ts",
    from: "return current === undefined || compareOrder(order, current.order) >= 0;",
    to: "return current === undefined || order !== undefined;",
  },
  {
    name: "stamps by the wall clock alone",
    file: "shared/domain/stamp.ts",
    from: "last = Math.max(last + 1, stampAt(nowMs()));",
    to: "last = stampAt(nowMs());",
  },
  {
    name: "drops the tail",
    file: "shared/publish/routed-send.ts",
    from: 'if (path === "pulsar") options.onPulsarHas?.(message);',
    to: "",
  },
  {
    name: "gives a forgotten user its old numbers again",
    file: "shared/publish/numbering.ts",
    from: "generation += 1;\n        }",
    to: "}",
  },
  {
    name: "resolves before a path has it",
    file: "shared/publish/routed-send.ts",
    from: "attempt(delivery, delivery.first, turnByMs);",
    to: "windows[delivery.first].send(delivery.message, turnByMs, delivery.deadlineAtMs, () => {});\n    onSuccess(delivery, delivery.first);",
  },
  {
    name: "never tries the other path",
    file: "shared/publish/routed-send.ts",
    from: "if (path === first && nowMs + MIN_ATTEMPT_MS",
    to: "if (failures.length < 0 && nowMs + MIN_ATTEMPT_MS",
  },
  {
    name: "never gives up",
    file: "shared/publish/routed-send.ts",
    from: "if (stopping?.aborted || nowMs + RETRY_REST_MS >= deadlineAtMs) giveUp(delivery);",
    to: "if (nowMs > deadlineAtMs + 3_600_000) giveUp(delivery);",
  },
  {
    name: "sends again as a new update",
    file: "shared/publish/publisher.ts",
    from: "start(update, userKey(update.tenant, update.userId), serialise(update), settle);",
    to: "Object.assign(update, lines.live.next(userKey(update.tenant, update.userId)), { stamp: clock.next() });\n        start(update, userKey(update.tenant, update.userId), serialise(update), settle);",
  },
  {
    name: "deduplicates by the user",
    file: "shared/publish/publisher.ts",
    from: "deduplicationId: `",
    to: "deduplicationId: key || `",
  },
  {
    name: "forgets a vote's expiry",
    file: "shared/routing/fleet-decision.ts",
    from: "return vote.expiresAtMs > nowMs;",
    to: "return vote.expiresAtMs > 0 || nowMs < 0;",
  },
  {
    name: "forgets an override's expiry",
    file: "shared/routing/fleet-decision.ts",
    from: "if (override === undefined || override.expiresAtMs > nowMs) return undefined;",
    to: "if (override === undefined || nowMs > 0) return undefined;",
  },
  {
    name: "lets the fleet flap",
    file: "shared/routing/fleet-decision.ts",
    from: "!majority && openingsMs.length < maxOpenings",
    to: "!majority",
  },
  {
    name: "lets a breaker flap",
    file: "shared/routing/breaker.ts",
    from: "openedAtMs.length < MAX_OPENINGS_IN_WINDOW",
    to: "true",
  },
  {
    name: "never closes the breaker",
    file: "shared/routing/breaker.ts",
    from: "if (circuit.opened && mayClose()) circuit.close();",
    to: "",
  },
  {
    name: "keeps no copy for the ledger",
    file: "services/audience-update/ledger-keeper.ts",
    from: "await windows[queue]!(() => options.producer.send(copyOf(delivery), queue));",
    to: "",
  },
  {
    name: "acknowledges before the copy for the ledger is durable",
    file: "services/audience-update/ledger-keeper.ts",
    from: "return { keep, close",
    to: "return { keep: async (delivery) => (void keep(delivery), true), close",
  },
  {
    name: "takes a refused copy for kept",
    file: "services/audience-update/ledger-keeper.ts",
    from: "        options.onError(error);\n",
    to: "        options.onError(error);\n        return true;\n",
  },
  {
    name: "deletes from the ledger queue before Pulsar has answered",
    file: "services/audience-update/queue-completion.ts",
    from: "await send(copyOf(delivery));",
    to: "void send(copyOf(delivery)).catch(options.onFailed);",
  },
  {
    name: "leaves without waiting",
    file: "services/audience-update/update-flow.ts",
    from: "const clean = await Promise.race([drained, timedOut.promise]);",
    to: "const clean = await Promise.race([drained, timedOut.promise, false]);",
  },
  {
    name: "acknowledges without waiting for announcements",
    file: "services/audience-update/run-round.ts",
    from: "if (!(await carriedOut)) return;",
    to: "void carriedOut;",
  },
  {
    name: "does not announce again what comes again",
    file: "services/audience-update/turn-effects.ts",
    from: 'const repeated = fates.some(({ outcome }) => outcome === "repeat");',
    to: "const repeated = fates.length === 0;",
  },
  {
    name: "drops pending changes at the next save",
    file: "shared/domain/memberships.ts",
    from: "pending: [...carried, ...news],",
    to: "pending: news,",
  },
  {
    name: "keeps an alarm that is later than the next moment",
    file: "shared/domain/calculate.ts",
    from: "if (alarmMs > asOfMs && alarmMs <= dueMs) return alarmMs;",
    to: "if (alarmMs > asOfMs) return alarmMs;",
  },
  {
    name: "takes a tick of a user it does not know for nobody's",
    file: "services/audience-update/run-round.ts",
    from: 'if (!outcome.write && !record && !confirmed && repeated) return "unknown";',
    to: "",
  },
  {
    name: "removes a due moment before its tick is durable",
    file: "services/audience-update/sweeper.ts",
    from: "const { tenant, userId, dueMs: due } = entry;",
    to: "const { tenant, userId, dueMs: due } = entry; await remove(entry);",
  },
  {
    name: "sets no alarm after a tick",
    file: "services/audience-update/turn-effects.ts",
    from: "const due = alarmMs > 0 && !isSet ? { ...user, dueMs: alarmMs } : undefined;",
    to: "const due = alarmMs > 0 && !isSet && !ticked ? { ...user, dueMs: alarmMs } : undefined;",
  },
  {
    name: "does not ask whether its definitions are fresh",
    file: "services/audience-update/run-round.ts",
    from: "while (!options.definitions.isFresh()) await options.definitions.refresh();",
    to: "",
  },
  {
    name: "lists no member",
    file: "services/audience-update/turn-effects.ts",
    from: "members.length > 0 ? memberStore.record(members) : undefined",
    to: "members.length < 0 ? memberStore.record(members) : undefined",
  },
  {
    name: "lets windows expire a bucket early",
    file: "shared/domain/definitions/window.ts",
    from: "return Math.floor((asOfMs - window.lengthMs) / window.bucketMs);",
    to: "return Math.floor((asOfMs - window.lengthMs) / window.bucketMs) + 1;",
  },
  {
    name: "lets windows expire a bucket late",
    file: "shared/domain/definitions/window.ts",
    from: "return Math.floor((asOfMs - window.lengthMs) / window.bucketMs);",
    to: "return Math.floor((asOfMs - window.lengthMs) / window.bucketMs) - 1;",
  },
  {
    name: "acknowledges a pack with the first of its updates",
    file: "shared/adapters/unpacking-consumer.ts",
    from: "return this.handle.unacknowledged === 0;",
    to: "return true;",
  },
  {
    name: "takes a pack that failed for sent",
    file: "shared/publish/pack-room.ts",
    from: "for (const item of items) steps.over(item, error);",
    to: "for (const item of items) steps.over(item);",
  },
];

/** @throws where the source is not what the mutant was written for. */
export function plant({ name, file, from, to }: Mutant, source: string): string {
  if (source.split(from).length !== 2) throw new Error(`${file} has not exactly one place for "${name}"`);
  return source.replace(from, to);
}
