import type { PrimaryQueue, Topic } from "../../ports/primary-queue.ts";
import { createOpenResources } from "../open-resources.ts";
import { type Scheduler, systemScheduler } from "../pending-sends.ts";
import {
  type BrokerSide,
  createMemoryConsumer,
  createMemoryProducer,
  createMemoryReader,
} from "./memory-broker-clients.ts";
import { createMemoryTopic, type MemoryTopic, type TopicOptions } from "./memory-broker-topic.ts";

export type MemoryBrokerConfig = Partial<TopicOptions> & {
  /** A larger payload is refused. Default 5 MiB, as Pulsar's. */
  maxMessageBytes?: number;
  /** The only source of time; default the real clock. With another one the broker is deterministic. */
  scheduler?: Scheduler;
};

export type MemoryBroker = PrimaryQueue & {
  /**
   * From now on the broker is as one that was stopped (SIGSTOP): connections stay, nothing is delivered,
   * sends get no answer and time out. With `storesLate`, what was sent meanwhile is in the topic after all
   * once the broker is healed, also what timed out; without, it is lost. With `topic`, only that topic is so,
   * such as one partition whose broker is gone.
   */
  break(options?: { storesLate?: boolean; topic?: Topic }): void;
  /** Acknowledgements, joins and leaves of the meantime take effect now, in their order. */
  heal(): void;
};

/** The embedded broker of `memory://`: Pulsar's topics with Key_Shared subscriptions, in this process only. */
export function createMemoryBroker(config: MemoryBrokerConfig = {}): MemoryBroker {
  const topicOptions: TopicOptions = {
    partitions: config.partitions ?? 4,
    maxRetainedMessages: config.maxRetainedMessages ?? 100_000,
    maxBacklogMessages: config.maxBacklogMessages ?? 1_000_000,
  };
  const topics = new Map<Topic, MemoryTopic>();
  const open = createOpenResources();
  let state: { kind: "working" } | { kind: "broken"; storesLate: boolean; topic: Topic | undefined } = {
    kind: "working",
  };
  /** What the broker was told while it was broken. */
  let waiting: (() => void)[] = [];
  let waitingSends = 0;

  function isBroken(topic: Topic): boolean {
    return state.kind === "broken" && (state.topic === undefined || state.topic === topic);
  }

  function sideOf(topic: Topic): BrokerSide {
    const broken = () => isBroken(topic);
    function tell(command: () => void): void {
      if (broken()) waiting.push(command);
      else command();
    }
    return {
      scheduler: config.scheduler ?? systemScheduler,
      maxMessageBytes: config.maxMessageBytes ?? 5 * 1_048_576,
      broken,
      tell,
      tellSend(command) {
        if (state.kind === "broken" && broken()) {
          if (!state.storesLate || waitingSends >= topicOptions.maxBacklogMessages) return;
          waitingSends += 1;
        }
        tell(command);
      },
    };
  }

  function topicOf(name: Topic): MemoryTopic {
    let topic = topics.get(name);
    if (topic === undefined) {
      topic = createMemoryTopic(topicOptions, () => isBroken(name));
      topics.set(name, topic);
    }
    return topic;
  }

  return {
    description: "an embedded broker in this process's memory",
    producer: (options) =>
      open.track(createMemoryProducer(sideOf(options.topic), topicOf(options.topic), options)),
    consumer: (options) =>
      open.track(createMemoryConsumer(sideOf(options.topic), topicOf(options.topic), options)),
    reader: (topic) => open.track(createMemoryReader(topicOf(topic))),
    break(options = {}) {
      state = { kind: "broken", storesLate: options.storesLate ?? false, topic: options.topic };
    },
    heal() {
      state = { kind: "working" };
      const commands = waiting;
      waiting = [];
      waitingSends = 0;
      for (const command of commands) command();
      for (const topic of topics.values()) topic.dispatchAll();
    },
    close: open.closeAll,
  };
}
