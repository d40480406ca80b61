/**
 * Stand between the page and what it needs, and break that on command; the page's own system is not touched. Each has a
 * thread of its own: a trial that starts a browser is busy for a moment, and no page shall be late by that.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Target } from '../../faults/gate.ts';
import type { ProxyUse, SourceFault } from './rules.ts';

export type SourceState = SourceFault | 'well';
export type DatabaseState = 'refusing connections' | 'silent' | 'well';

export interface Proxy<State> {
  /** For the page. */
  readonly address: string;
  /** From now on it behaves like this. */
  be(state: State): Promise<void>;
  /** With how many connections came so far. */
  use(): Promise<NonNullable<ProxyUse>>;
  close(): Promise<void>;
}
export type SourceProxy = Proxy<SourceState>;
export type DatabaseProxy = Proxy<DatabaseState>;

/** What a thread is told when it starts. */
export interface ProxySettings {
  readonly of: 'source' | 'database';
  readonly port: number;
  readonly target: Target;
}
/** What it is told then; without a state it only reports. */
export interface ProxyOrder {
  readonly be?: SourceState | DatabaseState;
}
export interface ProxyReport {
  readonly connections: number;
}

/** @param source its base address; bytes are passed on as they are, so it must be http */
export async function openSourceProxy(port: number, source: string): Promise<SourceProxy> {
  const { hostname, port: targetPort } = new URL(source);
  const target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(targetPort || 80) };
  return openProxy({ of: 'source', port, target }, `http://127.0.0.1:${port}`);
}

export const openDatabaseProxy = (port: number, database: Target): Promise<DatabaseProxy> =>
  openProxy({ of: 'database', port, target: database }, `127.0.0.1:${port}`);

async function openProxy<State extends SourceState | DatabaseState>(
  workerData: ProxySettings,
  address: string,
): Promise<Proxy<State>> {
  const thread = new Worker(new URL('./proxy-thread.ts', import.meta.url), { workerData });
  // One order at a time: the next report is the answer to it. An error of the thread rejects.
  let last: Promise<unknown> = once(thread, 'message');
  await last;
  const order = (what: ProxyOrder): Promise<ProxyReport> => {
    const answer = last.then(async () => {
      const reported = once(thread, 'message');
      thread.postMessage(what);
      const [report] = (await reported) as [ProxyReport];
      return report;
    });
    last = answer.catch(() => {});
    return answer;
  };
  return {
    address,
    async be(state) {
      await order({ be: state });
    },
    use: async () => ({ address, ...(await order({})) }),
    close: async () => void (await thread.terminate()),
  };
}
