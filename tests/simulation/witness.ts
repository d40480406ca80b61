import type { FullListRow } from '../../services/pages/views/full-list.ts';
import type { OutboxRow } from '../../services/top-clients/adapters/postgres/outbox.ts';
import type { Difference } from '../../services/view-audit/compare-view.ts';

export interface Sent {
  readonly key: string;
  readonly value: string | null;
  readonly timestamp: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Hidden records are never delivered: they belong to an aborted transaction, or mark its end. */
export type Appearance = 'ordinary' | 'unreadable' | 'hidden';

/** Why a row changed. */
export type Cause = 'upsert' | 'replace' | 'crash' | 'planted';

export interface RowChange {
  readonly at: number;
  readonly sellerId: number;
  readonly before: FullListRow | null;
  readonly after: FullListRow | null;
  readonly cause: Cause;
}

/** The subject of an entry in the trace. */
export interface About {
  readonly seller?: number;
  readonly partition?: number;
}

/** Sees every change of the stores at the moment it happens. */
export interface Witness {
  /** For the trace only; `what` is called only when there is one. */
  note(who: string, what: () => string, about?: About): void;
  appended(partition: number, batch: readonly Sent[], by: string, appearance: Appearance): void;
  rowChanged(change: RowChange): void;
  /** A checkpoint moved forward: everything below it has been applied. */
  checkpointMoved(partition: number, from: number, to: number): void;
  repairsSent(differences: readonly Difference[]): void;
  /** Rows were deleted from the outbox. */
  removed(rows: readonly OutboxRow[]): void;
}
