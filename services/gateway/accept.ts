/** What becomes of the updates of one request: each is on a path durably before it is answered. */
import type { Refusal } from "../../shared/domain/refusal.ts";
import { Refused, Throttled } from "../../shared/http/http-errors.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";
import type { Publisher, PublishResult } from "../../shared/publish/publisher.ts";
import type { UpdateInput } from "../../shared/publish/update-input.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import type { KnownShortages } from "./known-shortages.ts";
import { bulkPercentOf, bulkRateOf, rateOf, type Tenant } from "./tenants/tenant.ts";

/** An update, or why what came for it is none. */
export type Item = UpdateInput | KeylineError;

export type ItemResult = PublishResult;

/** Updates of a request, and how many of them are bulk. */
type Load = { count: number; bulk: number };

/** 0 ms where they were taken, and from where. */
type Tokens = { waitMs: number; from: Pick<RateStore, "giveBack"> };

export type Acceptor = {
  /**
   * To be called before the items of a request are read: what is sure to be refused costs nobody that work.
   * @throws Throttled where the tenant's quota is known not to allow as many items now
   */
  refuseKnownSurplus(tenant: Tenant, count: number): void;
  /**
   * A result for each item, in their order, once all of them are settled.
   * @param checked that the publisher would refuse none of them as `invalid_update`; they are not checked again then.
   * @throws Throttled where the tenant's quota does not allow all of them now; KeylineError `publisher_full` where there is no room for all of them now: nothing was taken then
   */
  accept(tenant: Tenant, items: readonly Item[], checked?: "checked"): Promise<ItemResult[]>;
};

const ASK_AGAIN_AFTER_MS = 1_000;

export function createAcceptor(options: {
  publisher: Pick<Publisher, "publishAll">;
  /** What an update becomes by its tenant's schema, or why it is not taken. */
  checkSchema(tenant: Tenant, update: UpdateInput): UpdateInput | KeylineError;
  /** Refuses items that link too many records to one user. */
  limitLinks(tenant: Tenant, items: readonly Item[]): Promise<readonly Item[]>;
  rates: KnownShortages;
  /** This gateway's own, for as long as `rates` can't be asked; what comes is taken where these fail too. */
  localRates: Pick<RateStore, "take" | "giveBack">;
  /** The publisher's: a request that it would take a part of is refused whole, else each try sends that part again. */
  maxUnderWay: number;
  /** `rates` could not be asked. */
  onUnknownRate(error: unknown): void;
  onSettled(tenant: string, result: "accepted" | "refused" | "failed" | "throttled", count: number): void;
}): Acceptor {
  const { publisher, rates, localRates, maxUnderWay, onSettled } = options;
  let underWay = 0;
  let bulkUnderWay = 0;
  const underWayOf = new Map<string, number>();
  /** By `performance.now`; not before, so that a store that hangs does not hold up every request. */
  let askAgainAtMs = 0;

  /** One tenant has half of the room at most while others send, and bulk always, so that nobody is crowded out. */
  async function inRoom<T>(tenant: Tenant, { count, bulk }: Load, work: () => Promise<T>): Promise<T> {
    const own = underWayOf.get(tenant.name) ?? 0;
    const isFull =
      underWay + count > maxUnderWay ||
      (underWay > own && own + count > maxUnderWay / 2) ||
      (bulk > 0 && bulkUnderWay + bulk > maxUnderWay / 2);
    // What is larger than all the room goes in alone, and the publisher takes of it what it can.
    if (underWay > 0 && isFull)
      throw new KeylineError("publisher_full", `${underWay} updates are under way here, try again later`, {
        retryable: true,
      });
    move(tenant, count);
    bulkUnderWay += bulk;
    return work().finally(() => {
      move(tenant, -count);
      bulkUnderWay -= bulk;
    });
  }

  function move({ name }: Tenant, count: number): void {
    underWay += count;
    const own = (underWayOf.get(name) ?? 0) + count;
    if (own > 0) underWayOf.set(name, own);
    else underWayOf.delete(name);
  }

  async function takeTokens(...args: Parameters<RateStore["take"]>): Promise<Tokens> {
    if (performance.now() >= askAgainAtMs)
      try {
        return { waitMs: await rates.take(...args), from: rates };
      } catch (error) {
        askAgainAtMs = performance.now() + ASK_AGAIN_AFTER_MS;
        options.onUnknownRate(error);
      }
    return { waitMs: await localRates.take(...args).catch(() => 0), from: localRates };
  }

  async function spend(tenant: Tenant, { all, bulk }: { all: number; bulk: number }): Promise<void> {
    const { name, quotas } = tenant;
    const rate = rateOf(quotas);
    if (!rate || all === 0) return;
    // No tenant has a colon in its name.
    const ofBulk = [`${name}:bulk`, bulk, bulkRateOf(quotas, rate)] as const;
    const taken = bulk > 0 ? await takeTokens(...ofBulk) : undefined;
    if (taken && taken.waitMs > 0) refuseSurplus(tenant, all, "bulkPercent", taken.waitMs);
    const { waitMs } = await takeTokens(name, all, rate);
    if (waitMs === 0) return;
    // Where this fails they come back with time, as all do.
    await taken?.from.giveBack(...ofBulk).catch(() => {});
    refuseSurplus(tenant, all, "updatesPerSecond", waitMs);
  }

  function refuseSurplus(
    { name, quotas }: Tenant,
    count: number,
    quota: "updatesPerSecond" | "bulkPercent",
    retryAfterMs: number,
  ): never {
    onSettled(name, "throttled", count);
    const share = quota === "bulkPercent" ? `, of them ${bulkPercentOf(quotas)} % bulk` : "";
    throw new Throttled(
      `${name} may send ${quotas.updatesPerSecond} updates a second${share}; nothing was taken`,
      { retryAfterMs, path: `quotas.${quota}`, value: quotas[quota] ?? bulkPercentOf(quotas) },
    );
  }

  async function settleAll(
    tenant: Tenant,
    items: readonly Item[],
    checked: "checked" | undefined,
  ): Promise<ItemResult[]> {
    const taken = await options.limitLinks(
      tenant,
      items.map((item) => take(tenant, item)),
    );
    const updates = taken.filter(isInput);
    const published = await publisher.publishAll(updates, checked);
    if (updates.length === taken.length) return published;
    let next = 0;
    return taken.map((item) => (isInput(item) ? published[next++]! : item));
  }

  /** As it is to be published, or why it is not. */
  function take(tenant: Tenant, item: Item): Item {
    if (!isInput(item)) return item;
    return refuseLong(tenant, item) ?? options.checkSchema(tenant, item);
  }

  return {
    refuseKnownSurplus(tenant, count) {
      const rate = rateOf(tenant.quotas);
      const waitMs = rate ? rates.waitMs(tenant.name, count, rate) : 0;
      if (waitMs > 0) refuseSurplus(tenant, count, "updatesPerSecond", waitMs);
    },
    async accept(tenant, items, checked) {
      const load = loadOf(items);
      const results = await inRoom(tenant, load, async () => {
        // What is refused is work as well.
        await spend(tenant, { all: items.length, bulk: load.bulk });
        return settleAll(tenant, items, checked);
      });
      const failures = results.filter((result) => result instanceof KeylineError);
      const failed = failures.filter(({ retryable }) => retryable).length;
      const accepted = results.length - failures.length;
      if (accepted > 0) onSettled(tenant.name, "accepted", accepted);
      if (failed > 0) onSettled(tenant.name, "failed", failed);
      if (failures.length > failed) onSettled(tenant.name, "refused", failures.length - failed);
      return results;
    },
  };
}

function loadOf(items: readonly Item[]): Load {
  const load = { count: 0, bulk: 0 };
  for (const item of items) {
    if (!isInput(item)) continue;
    load.count += 1;
    if (item.priority === "bulk") load.bulk += 1;
  }
  return load;
}

function isInput(item: Item): item is UpdateInput {
  return !(item instanceof KeylineError);
}

function refuseLong({ name, quotas }: Tenant, update: UpdateInput): KeylineError | undefined {
  const { maxUpdateBytes } = quotas;
  if (maxUpdateBytes === undefined) return undefined;
  const bytes = bytesOf(update.ops);
  if (bytes === undefined || bytes <= maxUpdateBytes) return undefined;
  const message = `the update is ${bytes} bytes long, more than the ${maxUpdateBytes} of ${name}`;
  return new Refused("too_large", message, { path: "ops", value: bytes });
}

/** As JSON; undefined for what JSON can't say, or is nested too deep for it: the publisher tells what is wrong. */
function bytesOf(value: unknown): number | undefined {
  try {
    const text: string | undefined = JSON.stringify(value);
    return text === undefined ? undefined : Buffer.byteLength(text);
  } catch {
    return undefined;
  }
}

export function errorOf({ code, path, value, message }: Refusal<string>): KeylineError {
  // What is missing has no value.
  const given = value === "undefined" ? {} : { value };
  return new Refused(code, `${path || "update"}: ${message}`, { path, ...given });
}
