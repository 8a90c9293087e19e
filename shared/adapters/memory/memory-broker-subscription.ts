import { createFifo, type Fifo } from "../../runtime/fifo.ts";
import type { Entry } from "./memory-broker-topic.ts";

/** One Key_Shared consumer: it gets the messages of the keys that hash to it. Or an exclusive one: all of them. */
export type Connection = {
  exclusive: boolean;
  /** How many more messages it takes now; whoever raises it calls `dispatch`. */
  room: number;
  deliver(entry: Entry): void;
};

/**
 * A durable Key_Shared subscription. A key's messages go to one connection in their order. The connections
 * divide the keys among them; one that joins or leaves changes the division, but a key moves only when none of
 * its messages is in flight, or when the connection that has them leaves. What it did not acknowledge comes
 * again then, before what follows.
 */
export type Subscription = {
  add(entry: Entry): void;
  /** Waits where either of the two is exclusive, until those that are there have left. */
  join(connection: Connection): void;
  joined(connection: Connection): boolean;
  leave(connection: Connection): void;
  /** Of a connection that has left, nothing is acknowledged. */
  acknowledge(connection: Connection, entry: Entry): void;
  dispatch(connection: Connection): void;
  dispatchAll(): void;
};

type KeyState = {
  hash: number;
  pending: Fifo<Entry>;
  /** In order of delivery, which is their order in the topic. Not empty means that `owner` has the key. */
  inFlight: Set<Entry>;
  owner: Connection | undefined;
  /** Whose turn list the key stands in; a list may also contain keys that have moved on. */
  listedBy: Connection | undefined;
};

const HASH_SPACE = 2 ** 32;

/**
 * @param stalled while it says true nothing is delivered.
 * @param onAcknowledged is called once for each entry.
 */
export function createSubscription(
  stalled: () => boolean,
  onAcknowledged: (entry: Entry) => void,
): Subscription {
  const keys = new Map<string, KeyState>();
  let connections: Connection[] = [];
  let waiting: Connection[] = [];
  /** The keys that have messages for a connection, the one whose turn it is first. */
  const turns = new Map<Connection, Fifo<KeyState>>();

  const targetOf = (state: KeyState) =>
    connections[Math.floor((state.hash / HASH_SPACE) * connections.length)];

  function list(state: KeyState): Connection | undefined {
    const target = targetOf(state);
    if (target === undefined || state.pending.size() === 0 || state.listedBy === target) return undefined;
    // The key is to move, and waits until its owner has acknowledged or left.
    if (state.owner !== undefined && state.owner !== target) return undefined;
    state.listedBy = target;
    turns.get(target)?.push(state);
    return target;
  }

  function dispatch(connection: Connection): void {
    const turn = turns.get(connection);
    while (turn !== undefined && connection.room > 0 && !stalled()) {
      if (connection.exclusive) oldestFirst(turn);
      const state = turn.shift();
      if (state === undefined) return;
      if (state.listedBy !== connection) continue;
      state.listedBy = undefined;
      const entry = state.pending.shift();
      if (entry === undefined) continue;
      state.owner = connection;
      state.inFlight.add(entry);
      list(state);
      connection.room -= 1;
      connection.deliver(entry);
    }
  }

  function divideAnew(): void {
    for (const turn of turns.values()) turn.clear();
    const waiting = [...keys.values()].filter((state) => state.pending.size() > 0);
    waiting.sort((a, b) => a.pending.first()!.sequence - b.pending.first()!.sequence);
    for (const state of waiting) {
      state.listedBy = undefined;
      list(state);
    }
    dispatchAll();
  }

  function admit(connection: Connection): void {
    const others = connection.exclusive ? connections : connections.filter(({ exclusive }) => exclusive);
    if (others.length > 0) {
      waiting.push(connection);
      return;
    }
    connections.push(connection);
    turns.set(connection, createFifo());
  }

  function dispatchAll(): void {
    for (const connection of connections) dispatch(connection);
  }

  return {
    add(entry) {
      let state = keys.get(entry.key);
      if (state === undefined) {
        state = {
          hash: entry.hash,
          pending: createFifo(),
          inFlight: new Set(),
          owner: undefined,
          listedBy: undefined,
        };
        keys.set(entry.key, state);
      }
      state.pending.push(entry);
      const target = list(state);
      if (target !== undefined) dispatch(target);
    },
    join(connection) {
      admit(connection);
      divideAnew();
    },
    joined: (connection) => connections.includes(connection),
    leave(connection) {
      connections = connections.filter((other) => other !== connection);
      turns.delete(connection);
      const next = waiting.filter((other) => other !== connection);
      waiting = [];
      for (const other of next) admit(other);
      for (const state of keys.values()) {
        if (state.owner !== connection) continue;
        state.pending.putBack([...state.inFlight]);
        state.inFlight.clear();
        state.owner = undefined;
      }
      divideAnew();
    },
    acknowledge(connection, entry) {
      const state = keys.get(entry.key);
      if (state?.owner !== connection || !state.inFlight.delete(entry)) return;
      onAcknowledged(entry);
      if (state.inFlight.size > 0) return;
      state.owner = undefined;
      if (state.pending.size() === 0) {
        keys.delete(entry.key);
        return;
      }
      const target = list(state);
      if (target !== undefined) dispatch(target);
    },
    dispatch,
    dispatchAll,
  };
}

/** As the topic has them; Key_Shared consumers take turns among the keys instead. */
function oldestFirst(turn: Fifo<KeyState>): void {
  const states: KeyState[] = [];
  for (let state = turn.shift(); state !== undefined; state = turn.shift()) states.push(state);
  const sequenceOf = (state: KeyState) => state.pending.first()?.sequence ?? 0;
  states.sort((a, b) => sequenceOf(a) - sequenceOf(b));
  for (const state of states) turn.push(state);
}
