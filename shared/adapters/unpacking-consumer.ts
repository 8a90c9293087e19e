import { MAX_MESSAGES, type Place, placesOf } from "../domain/pack.ts";
import type { ConsumerOptions } from "../ports/primary-queue.ts";
import type { Consumer, Delivery, LedgerPosition } from "../ports/update-queue.ts";

/** A message as the adapter has it, perhaps a pack. */
export type Received = Delivery & {
  readonly bytes: Buffer;
  /** Whether it comes again, to somebody: its session is over. */
  readonly lost: boolean;
};

/** What an adapter makes, which knows nothing of packs. */
export type PackedConsumer = Omit<Consumer, "receive"> & {
  receive(maxMessages: number): Promise<Received[]>;
};

/** A pack is acknowledged once all that it holds is. */
type Pack = { received: Received; unacknowledged: number };

/** Takes packs apart, where the topic has some: each message that they hold is delivered, and acknowledged, by itself. */
export function createUnpackingConsumer(
  consumer: PackedConsumer,
  { holdsPacks = false }: Pick<ConsumerOptions, "holdsPacks">,
): Consumer {
  if (!holdsPacks) return consumer;
  /** Of the packs that were received last, what was more than was asked for. */
  let rest: Delivery[] = [];
  let perMessage = 1;
  let paused = false;

  function stop(): void {
    paused = true;
    rest = [];
  }

  async function receiveMore(maxMessages: number): Promise<void> {
    const received = await consumer.receive(Math.max(1, Math.floor(maxMessages / perMessage)));
    if (paused || received.length === 0) return;
    rest = received.flatMap(deliveriesIn);
    perMessage = rest.length / received.length;
  }

  return {
    ...consumer,
    async receive(maxMessages) {
      rest = rest.filter((delivery) => !isLost(delivery));
      if (rest.length === 0) await receiveMore(maxMessages);
      if (rest.length > maxMessages) return rest.splice(0, maxMessages);
      const all = rest;
      rest = [];
      return all;
    },
    acknowledge: (deliveries) => consumer.acknowledge(deliveries.flatMap(acknowledged)),
    pause() {
      stop();
      consumer.pause();
    },
    close() {
      stop();
      return consumer.close();
    },
  };
}

function deliveriesIn(received: Received): Delivery | Delivery[] {
  const places = placesOf(received.bytes);
  if (places === undefined) return received;
  const pack: Pack = { received, unacknowledged: places.length };
  return places.map((place, number) => new UnpackedDelivery(pack, number, place));
}

function isLost(delivery: Delivery): boolean {
  return delivery instanceof UnpackedDelivery && delivery.handle.received.lost;
}

/** What the adapter has to acknowledge after this one: nothing, as long as others of its pack are left. */
function acknowledged(delivery: Delivery): Delivery | Delivery[] {
  if (!(delivery instanceof UnpackedDelivery)) return delivery;
  return delivery.isLastOfItsPack() ? delivery.handle.received : [];
}

/** Its payload is read from the bytes of the pack when its turn comes: as texts on the heap, packs cost a tenth more CPU. */
class UnpackedDelivery implements Delivery {
  readonly path = "pulsar";
  readonly key: string;
  readonly handle: Pack;
  readonly #number: number;
  readonly #start: number;
  readonly #end: number;
  #acknowledged = false;

  constructor(pack: Pack, number: number, { key, start, end }: Place) {
    this.key = key;
    this.handle = pack;
    this.#number = number;
    this.#start = start;
    this.#end = end;
  }

  get payload(): string {
    return this.handle.received.bytes.toString("utf8", this.#start, this.#end);
  }

  get sizeBytes(): number {
    return this.#end - this.#start;
  }

  get publishTimeMs(): number {
    return this.handle.received.publishTimeMs;
  }

  get position(): LedgerPosition {
    const { batchIndex, ...place } = this.handle.received.position!;
    return { ...place, batchIndex: batchIndex * MAX_MESSAGES + this.#number };
  }

  /** Acknowledges it. */
  isLastOfItsPack(): boolean {
    if (this.#acknowledged) return false;
    this.#acknowledged = true;
    this.handle.unacknowledged -= 1;
    return this.handle.unacknowledged === 0;
  }
}
