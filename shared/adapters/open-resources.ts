/** What an adapter has handed out and must close with itself. */
export type OpenResources = {
  /** Closes with the adapter unless it was closed before. */
  track<T extends { close(): Promise<void> }>(resource: T): T;
  /** Closes what is left, the newest first. */
  closeAll(): Promise<void>;
};

export function createOpenResources(): OpenResources {
  const open = new Set<{ close(): Promise<void> }>();
  return {
    track(resource) {
      const tracked = {
        ...resource,
        close() {
          open.delete(tracked);
          return resource.close();
        },
      };
      open.add(tracked);
      return tracked;
    },
    async closeAll() {
      for (const resource of [...open].reverse()) await resource.close();
    },
  };
}
