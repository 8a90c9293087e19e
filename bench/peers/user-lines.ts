/** One line for each user: tasks of one user run one after another, those of different users side by side. */
export type UserLines = {
  /** Runs a task when those that were given before for the same user have ended, and resolves or rejects with it. */
  run<T>(user: string, task: () => Promise<T>): Promise<T>;
};

export function createUserLines(): UserLines {
  const last = new Map<string, Promise<unknown>>();
  return {
    run(user, task) {
      const before = last.get(user);
      const running = before === undefined ? task() : before.then(task, task);
      last.set(user, running);
      const leave = () => {
        if (last.get(user) === running) last.delete(user);
      };
      running.then(leave, leave);
      return running;
    },
  };
}

/** Sends all, at most `atOnce` at a time, each begun in its order. */
export async function sendAll<T>(
  all: readonly T[],
  atOnce: number,
  send: (one: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < all.length) {
      const one = all[next]!;
      next += 1;
      await send(one);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
