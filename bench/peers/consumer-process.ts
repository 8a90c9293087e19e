/** Both ends of a peer's consumer that is a process of its own: who starts it, and what it says to that one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { exitOf } from "../../test/support/service-process.ts";
import type { ConsumerOptions, PeerConsumer } from "./peer.ts";

/** What a consumer is told at its start. */
export type ConsumerTask = ConsumerOptions & { run: string };

/** The lines that a consumer says; a library may say others. */
const READY = "peer is ready";
const APPLIED = "peer has applied ";

const TELL_EVERY_MS = 100;

/**
 * Starts the module of a peer as its consumer, and resolves when it is ready.
 * @param module its `import.meta.url`
 */
export async function startConsumerProcess(
  module: string,
  task: ConsumerTask & Record<string, unknown>,
  environment: Record<string, string>,
): Promise<PeerConsumer> {
  const child = spawn(process.execPath, [fileURLToPath(module), JSON.stringify(task)], {
    env: { ...process.env, ...environment },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = exitOf(child);
  let applied = 0;
  const ready = new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      if (line === READY) resolve();
      else if (line.startsWith(APPLIED)) applied = Number(line.slice(APPLIED.length));
    });
    void exited.then((code) => reject(new Error(`the consumer of ${task.run} ended with ${code}`)));
  });
  await ready;
  let ended = false;
  void exited.then((code) => {
    if (!ended) console.log(`  the consumer of ${task.run} ended by itself with ${code}`);
  });
  return {
    pid: child.pid!,
    async letGo() {
      child.stdin.write("go\n");
    },
    applied: () => Promise.resolve(applied),
    kill(signal) {
      ended ||= signal === "SIGTERM" || signal === "SIGKILL";
      child.kill(signal);
    },
    exited,
  };
}

/** In the consumer: says that it is ready, and resolves when it is let go. Call the result for each update applied. */
export async function untilLetGo(): Promise<() => void> {
  console.log(READY);
  await once(process.stdin, "data");
  process.stdin.unref();
  let applied = 0;
  let told = 0;
  setInterval(() => {
    if (applied === told) return;
    told = applied;
    console.log(`${APPLIED}${applied}`);
  }, TELL_EVERY_MS).unref();
  return () => {
    applied += 1;
  };
}
