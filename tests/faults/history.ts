/** The clients' operations and outcomes, one line of JSON an event: the evidence for every checker. */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

/**
 * A command as the model sees it. A client's name is `<tag>~<rest>`. The tag is drawn before the client is added; the
 * id is unknown until the source has answered. Neither changes. `rename`, `remove` and `reorder` use tags.
 */
export type Action =
  | { readonly kind: 'read' }
  | { readonly kind: 'add'; readonly name: string }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'reorder'; readonly names: readonly string[] }
  | { readonly kind: 'erase' };

export interface Invocation {
  readonly client: number;
  readonly seller: number;
  readonly action: Action;
  /** The version that `If-Match` named; absent without it. */
  readonly ifVersion?: number;
}

export type Outcome =
  /** `names` only for a read. */
  | { readonly event: 'ok'; readonly version: number; readonly names?: readonly string[] }
  /** Certainly not done; `reason` is the name of the problem. */
  | { readonly event: 'fail'; readonly reason: string }
  /** It may have been done, may not, or may be done later. */
  | { readonly event: 'unknown'; readonly reason: string };

export interface Operation extends Invocation {
  readonly id: number;
  /** ms on the clock of this process, fractions included. */
  readonly from: number;
  /** When the outcome became known; null until then. */
  readonly until: number | null;
  readonly outcome: Outcome | null;
}

export interface History {
  readonly file: string;
  readonly operations: readonly Operation[];
  /** @returns the function to call with the outcome */
  invoke(invocation: Invocation): (outcome: Outcome) => void;
  /** Writes out what is buffered. */
  close(): Promise<void>;
}

export function openHistory(file: string, now: () => number = () => performance.now()): History {
  const stream = createWriteStream(file);
  const operations: Operation[] = [];
  const line = (value: unknown) => stream.write(`${JSON.stringify(value)}\n`);
  return {
    file,
    operations,
    invoke(invocation) {
      const id = operations.length;
      const from = now();
      operations.push({ id, ...invocation, from, until: null, outcome: null });
      line({ id, at: from, event: 'invoke', ...invocation });
      return (outcome) => {
        const until = now();
        operations[id] = { ...operations[id]!, until, outcome };
        line({ id, at: until, ...outcome });
      };
    },
    async close() {
      stream.end();
      await finished(stream);
    },
  };
}

/** Acknowledged writes that created a version, in no particular order. */
export function acknowledged(operations: readonly Operation[]) {
  return operations.flatMap((operation) => {
    const { action, outcome } = operation;
    if (action.kind === 'read' || outcome?.event !== 'ok') return [];
    return [{ ...operation, action, version: outcome.version, until: operation.until! }];
  });
}
