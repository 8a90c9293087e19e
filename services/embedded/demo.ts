import type { MemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import type { Observer, Status } from "./status.ts";
import type { Verdict } from "./verdict.ts";

/** One line of what happened, for people. */
export type StoryLine = { atMs: number; tone: "good" | "bad"; text: string };

export type DemoStatus = Status & {
  pulsar: { broken: boolean; sinceMs: number };
  /** Newest first. */
  verdicts: Verdict[];
  story: StoryLine[];
};

/** The one thing that can be done here and nowhere else, to break the embedded Pulsar, and what came of it. */
export type Demo = {
  breakPulsar(): void;
  healPulsar(): void;
  pulsar(): DemoStatus["pulsar"];
  onVerdict(verdict: Verdict): void;
  status(): Promise<DemoStatus>;
};

const MAX_STORY_LINES = 40;

export function createDemo(options: {
  broker: Pick<MemoryBroker, "break" | "heal">;
  breaker: Pick<Breaker, "onChange">;
  observer: Observer;
  /** Told of what is done here; what the breaker does is in the service's log. */
  onStory(line: StoryLine): void;
  now(): number;
}): Demo {
  const { broker, observer, now } = options;
  const story: StoryLine[] = [];
  const verdicts: Verdict[] = [];
  let pulsar = { broken: false, sinceMs: now() };

  function remember(tone: StoryLine["tone"], text: string): StoryLine {
    const line = { atMs: now(), tone, text };
    story.unshift(line);
    if (story.length > MAX_STORY_LINES) story.pop();
    return line;
  }

  function tell(tone: StoryLine["tone"], text: string): void {
    options.onStory(remember(tone, text));
  }

  options.breaker.onChange(({ state, reason }) => {
    remember(state === "open" ? "bad" : "good", `Breaker ${state}: ${reason}`);
  });

  return {
    breakPulsar() {
      if (pulsar.broken) return;
      pulsar = { broken: true, sinceMs: now() };
      observer.broken(pulsar.sinceMs);
      // What times out is in the topic after all once Pulsar is back: second copies, which must not count.
      broker.break({ storesLate: true });
      tell("bad", "Pulsar is broken: its connections stay, nothing is answered");
    },
    healPulsar() {
      if (!pulsar.broken) return;
      pulsar = { broken: false, sinceMs: now() };
      observer.healed(pulsar.sinceMs);
      broker.heal();
      tell("good", "Pulsar is healed: it answers, and stores late what it was sent meanwhile");
    },
    pulsar: () => pulsar,
    onVerdict(verdict) {
      verdicts.unshift(verdict);
      const { tenant, exact, customers, differing } = verdict;
      const good = exact === customers;
      const detail = good ? "each equals what the file adds up to" : differing.join("; ");
      tell(good ? "good" : "bad", `${tenant}: ${exact} of ${customers} profiles exact, ${detail}`);
    },
    status: async () => ({ ...(await observer.status()), pulsar, verdicts, story }),
  };
}
