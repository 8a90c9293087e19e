import { type Place, placesOf } from "../domain/pack.ts";
import type { Consumer, Delivery, LedgerPosition } from "../ports/update-queue.ts";

/** A message as the adapter has it, perhaps a pack. */
export type Received = Delivery & { readonly bytes: Buffer };

/** A pack is acknowledged once all that it holds is. */
type Pack = { received: Received; unacknowledged: number };

/** Takes packs apart: each message that they hold is delivered, and acknowledged, by itself. */
export function createUnpackingConsumer(
  consumer: Omit<Consumer, "receive"> & { receive(maxMessages: number): Promise<Received[]> },
): Consumer {
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
    rest = received.flatMap(contentsOf);
    perMessage = rest.length / received.length;
  }

  return {
    ...consumer,
    async receive(maxMessages) {
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

function contentsOf(received: Received): Delivery | Delivery[] {
  const places = placesOf(received.bytes);
  if (places === undefined) return received;
  const pack: Pack = { received, unacknowledged: places.length };
  return places.map((place, number) => new UnpackedDelivery(pack, number, place));
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
    return { ...this.handle.received.position!, batchIndex: this.#number };
  }

  /** Acknowledges it. */
  isLastOfItsPack(): boolean {
    if (this.#acknowledged) return false;
    this.#acknowledged = true;
    this.handle.unacknowledged -= 1;
    return this.handle.unacknowledged === 0;
  }
}
