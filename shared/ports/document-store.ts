/**
 * The port to what is said of each tenant, in one document a tenant: its definitions in one store, its settings and
 * its schema in others. The store knows nothing of what a document means: it keeps texts and a version of each, and tells who reads
 * them apart.
 */

/** A tenant's document as it is stored. */
export type TenantDocument = {
  /** Grows with each change of this tenant's, as its writer says; 0 before the first. */
  version: number;
  /** JSON. */
  document: string;
};

/** What one consumer says of itself, for whoever looks at the documents. */
export type ConsumerReport = {
  consumer: string;
  /** When it said so, milliseconds since the epoch, by the store's clock. */
  atMs: number;
  /** JSON: versions, costs and errors. */
  report: string;
};

export type DocumentStore = {
  /** A number that grows with every change of any tenant's; cheap to ask for. Rejects with `store_unavailable`. */
  revision(): Promise<number>;
  /**
   * The documents that changed after a revision, all of them after -1, with the revision that they are of; read in one
   * step. Rejects with `store_unavailable`.
   */
  changedAfter(
    revision: number,
  ): Promise<{ revision: number; documents: ReadonlyMap<string, TenantDocument> }>;
  /** Version 0 with an empty text where the tenant has none. Rejects with `store_unavailable`. */
  read(tenant: string): Promise<TenantDocument>;
  /**
   * Puts `next`, of a greater version, in the place of the document if that is still of `expectedVersion`; false when
   * someone else was first. Rejects with `store_unavailable`; then it may have been done all the same.
   */
  replace(tenant: string, expectedVersion: number, next: TenantDocument): Promise<boolean>;
  /** Leaves a report that is gone after `ttlMs`. Rejects with `store_unavailable`. */
  report(consumer: string, report: string, ttlMs: number): Promise<void>;
  /** The reports that are not gone, by name. Rejects with `store_unavailable`. */
  reports(): Promise<ConsumerReport[]>;
  close(): Promise<void>;
};
