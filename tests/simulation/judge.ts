import { MOVED_TYPE, SELLER_MOVED } from '#contracts/events.ts';
import { partitionOf } from '#contracts/partition.ts';
import type { ClientList } from '#pages/page.ts';
import type { FullListRow } from '../../services/pages/views/full-list.ts';
import type { OutboxRow } from '../../services/top-clients/adapters/postgres/outbox.ts';
import type { Difference } from '../../services/view-audit/compare-view.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimSource } from './sim-source.ts';
import type { SimTopic } from './sim-topic.ts';

import { isSame, rowOf } from './sim-view.ts';
import { digestOf, type SimViewDatabase } from './sim-view-database.ts';
import type { Trace } from './trace.ts';
import type { About, Appearance, RowChange, Sent, Witness } from './witness.ts';

/** The promises; each finding breaks one. */
export type Promised =
  | 'view equals source'
  | 'view never goes back'
  | 'nothing erased returns'
  | 'page shows the view'
  | 'order on the topic'
  | 'no write is lost'
  | 'nothing waits for ever'
  | 'repairs only what is wrong'
  | 'process goes on';

export interface Finding {
  readonly promised: Promised;
  readonly what: string;
  readonly about: About;
  readonly at: number;
}

/** How long a page may show what the view no longer has, in ms. */
const TRUST_MS = 5_000;

/** A projector exits after a standstill of three session timeouts; this adds a look or two. */
const STALLED_AFTER_MS = 3 * 6_000 + 5_000;

/** Events that excuse a finding. */
export interface Excuses {
  /** The source was restored to an earlier point: versions are used a second time. */
  sourceRestored: boolean;
  /** Records were lost from the topic, or a tombstone was removed while a projector was away. */
  topicLostRecords: boolean;
  /** Sellers whose rows somebody else wrote. */
  readonly planted: Set<number>;
  /** Sellers who may have had a parked message: a repair may remove that. */
  readonly hadParked: Set<number>;
}

const versionOf = (row: FullListRow | null): number => row?.version ?? 0;

/** Sees every change as it happens, and finds broken promises. */
export class Judge implements Witness {
  readonly findings: Finding[] = [];
  readonly excuses: Excuses = {
    sourceRestored: false,
    topicLostRecords: false,
    planted: new Set(),
    hadParked: new Set(),
  };
  readonly trace: Trace | null;
  readonly #scheduler: Scheduler;
  /** By seller: the newest version that was appended. */
  readonly #newestOnTopic = new Map<number, number>();
  readonly #appended = new Set<string>();
  /** Every row that each seller had, and since when. */
  readonly #stood = new Map<number, Array<{ since: number; row: FullListRow | null }>>();
  /** Digests of wrong rows that a repair replaced and that were not sent again since, by seller and version. */
  readonly #replaced = new Map<string, bigint>();
  /** Acknowledged writes. */
  readonly #acknowledged = new Map<number, number>();
  source!: SimSource;
  topic!: SimTopic;
  view!: SimViewDatabase;

  constructor(scheduler: Scheduler, trace: Trace | null) {
    this.#scheduler = scheduler;
    this.trace = trace;
  }

  note(who: string, what: () => string, about: About = {}): void {
    this.trace?.note(who, what(), about);
  }

  acknowledged(sellerId: number, version: number): void {
    this.#acknowledged.set(sellerId, Math.max(version, this.#acknowledged.get(sellerId) ?? 0));
  }

  /** Tells that the source is as it was at an earlier moment. */
  sourceWasRestored(): void {
    this.excuses.sourceRestored = true;
    this.#acknowledged.clear();
    this.#newestOnTopic.clear();
    for (const [sellerId, { version }] of this.source.sellers) this.#acknowledged.set(sellerId, version);
  }

  appended(partition: number, batch: readonly Sent[], by: string, appearance: Appearance): void {
    this.note(
      by,
      () =>
        `appends to ${partition}: ${batch.map((one) => (appearance === 'hidden' ? 'nothing to deliver' : nameOf(one))).join(', ')}`,
      batch.length === 1 && appearance !== 'hidden'
        ? { partition, seller: Number(batch[0]!.key) }
        : { partition },
    );
    if (appearance !== 'ordinary') return;
    const last = new Map<number, number>();
    for (const one of batch) {
      this.#appended.add(nameOf(one));
      this.#replaced.delete(`${one.key}/${versionIn(one)}`);
      // A marker has no state of the seller, and is in another partition than the messages after it.
      if (!isMarker(one)) last.set(Number(one.key), versionIn(one));
    }
    for (const [sellerId, version] of last) {
      // Sent before the source was restored: the source no longer has these versions.
      if (this.excuses.sourceRestored && version > this.source.versionOf(sellerId)) continue;
      const newest = this.#newestOnTopic.get(sellerId) ?? 0;
      if (version < newest) {
        this.#find('order on the topic', `version ${version} of seller ${sellerId} stands behind ${newest}`, {
          seller: sellerId,
          partition,
        });
      }
      this.#newestOnTopic.set(sellerId, Math.max(version, newest));
    }
  }

  removed(rows: readonly OutboxRow[]): void {
    for (const row of rows) {
      const name = `${row.sellerId}/${row.version}`;
      const wasSent = [...this.#namesOf(row)].some((one) => this.#appended.has(one));
      if (!wasSent) {
        this.#find('no write is lost', `the outbox forgets ${name} (${row.type}), which was never sent`, {
          seller: row.sellerId,
        });
      }
    }
  }

  checkpointMoved(partition: number, from: number, to: number): void {
    const { planted, hadParked, sourceRestored } = this.excuses;
    if (sourceRestored) return;
    const { records } = this.topic.partitions[partition]!;
    for (const { offset, sent, appearance } of records) {
      const sellerId = Number(sent.key);
      if (offset < from || offset >= to || appearance !== 'ordinary') continue;
      if (isMarker(sent) || planted.has(sellerId) || hadParked.has(sellerId)) continue;
      const held = versionOf(this.view.rows.get(sellerId) ?? null);
      if (held >= versionIn(sent)) continue;
      this.#find(
        'view equals source',
        `the checkpoint of partition ${partition} passes ${nameOf(sent)} at ${offset}, and the view is at ${held}`,
        { seller: sellerId, partition },
      );
    }
  }

  repairsSent(differences: readonly Difference[]): void {
    for (const { sellerId, expected, held, digests } of differences) {
      const isBack = this.#replaced.get(`${sellerId}/${held}`) === digests.held;
      if (isBack && !this.excuses.topicLostRecords && !this.excuses.hadParked.has(sellerId)) {
        this.#find(
          'repairs only what is wrong',
          `the watcher had to repair seller ${sellerId} again: the row at ${held} is back that was replaced`,
          { seller: sellerId },
        );
      }
      const { planted, sourceRestored, topicLostRecords } = this.excuses;
      if (planted.has(sellerId) || sourceRestored || topicLostRecords) continue;
      // While its newest version is in flight, it may look as if a parked message held it back for ever.
      if (this.excuses.hadParked.has(sellerId)) continue;
      this.#find(
        'repairs only what is wrong',
        `the watcher had to repair seller ${sellerId}: ${held ?? 'no row'} instead of ${expected ?? 'none'}`,
        { seller: sellerId },
      );
    }
  }

  rowChanged({ at, sellerId, before, after, cause }: RowChange): void {
    this.note('view', () => `${cause}: ${sellerId} from ${versionOf(before)} to ${told(after)}`, {
      seller: sellerId,
    });
    if (cause === 'replace' && before) {
      this.#replaced.set(`${sellerId}/${before.version}`, digestOf(before));
    }
    if (cause === 'planted' && after) this.#replaced.delete(`${sellerId}/${after.version}`);
    const stood = this.#stood.get(sellerId) ?? [];
    stood.push({ since: at, row: after });
    this.#stood.set(sellerId, stood);
    if (versionOf(after) >= versionOf(before)) {
      if (cause === 'upsert' && before !== null && versionOf(after) === versionOf(before)) {
        this.#find(
          'view never goes back',
          `version ${versionOf(after)} of seller ${sellerId} was written again`,
          {
            seller: sellerId,
          },
        );
      }
      return;
    }
    if (cause === 'crash' || cause === 'planted') return;
    const isRightful = before !== null && this.#isOfSource(before);
    if (cause === 'replace' && !isRightful) return;
    if (cause === 'replace' && this.excuses.sourceRestored) return;
    this.#find(
      'view never goes back',
      `seller ${sellerId} went from version ${versionOf(before)} to ${versionOf(after)}`,
      { seller: sellerId },
    );
  }

  /**
   * Called when a page showed a list.
   * @param since when the request came, in virtual ms
   */
  shown(page: string, sellerId: number, list: ClientList | null, since: number): void {
    const stood = this.#stood.get(sellerId) ?? [];
    const earliest = since - TRUST_MS;
    const names = list === null ? null : JSON.stringify(list.clients);
    const isIt = (row: FullListRow | null) =>
      row === null ? list === null : list !== null && row.version === list.version && row.clients === names;
    let didStand = (stood[0]?.since ?? Number.POSITIVE_INFINITY) > earliest && list === null;
    stood.forEach(({ row }, i) => {
      const until = stood[i + 1]?.since ?? Number.POSITIVE_INFINITY;
      if (until >= earliest && isIt(row)) didStand = true;
    });
    this.note(page, () => `shows ${sellerId} as ${list === null ? 'nothing' : `version ${list.version}`}`, {
      seller: sellerId,
    });
    if (didStand) return;
    this.#find(
      'page shows the view',
      `${page} shows version ${list?.version ?? 'none'} of seller ${sellerId}, which the view has not held for ${TRUST_MS / 1_000} s`,
      { seller: sellerId },
    );
  }

  /** Called when a projector's own watchdog fired. It may do so only while a fault lasts, or shortly after. */
  stalled(name: string, err: Error, faultsEndAt: number): void {
    if (this.#scheduler.now < faultsEndAt + STALLED_AFTER_MS) return;
    this.#find('nothing waits for ever', `${name} leaves: ${err.message}`, {});
  }

  processFailed(name: string, err: unknown): void {
    this.#find('process goes on', `${name}: ${(err as Error)?.stack ?? err}`, {});
  }

  /** @returns what still waits although nothing prevents it */
  whatWaits(): Finding[] {
    const at = this.#scheduler.now;
    const waits: Finding[] = [];
    const add = (promised: Promised, what: string, about: About) => waits.push({ promised, what, about, at });
    if (this.source.outbox.size > 0) {
      const [row] = this.source.outbox.values();
      add(
        'nothing waits for ever',
        `${this.source.outbox.size} rows of the outbox are not sent, the first of them ${row!.sellerId}/${row!.version}`,
        { seller: row!.sellerId },
      );
    }
    this.topic.partitions.forEach(({ end }, partition) => {
      const stored = this.view.checkpoints.get(partition) ?? 0;
      if (stored < end) {
        add('nothing waits for ever', `partition ${partition} is applied up to ${stored} of ${end}`, {
          partition,
        });
      }
      if (!this.view.owners.has(partition)) {
        add('nothing waits for ever', `partition ${partition} is owned by nobody`, { partition });
      }
    });
    if (this.source.isGrowing)
      add('nothing waits for ever', 'sellers still move to their new partitions', {});
    for (const { partition, offset, sellerId, reason } of this.view.parked.all()) {
      if (!reason.startsWith('the view refuses')) continue;
      add('nothing waits for ever', `${partition}@${offset} stays parked, and would apply now`, {
        partition,
        ...(sellerId === null ? {} : { seller: sellerId }),
      });
    }
    const sellers = new Set([...this.source.sellers.keys(), ...this.view.rows.keys()]);
    for (const sellerId of sellers) {
      const seller = this.source.sellers.get(sellerId);
      const held = this.view.rows.get(sellerId) ?? null;
      const expected = seller && seller.version > 0 ? rowOf(this.source.truthOf(sellerId)) : null;
      if (expected === null ? held === null : held !== null && isSame(expected, held)) continue;
      // Of an erased seller compaction may have left nothing: a view that was built after that rightly has no row.
      if (held === null && seller?.erased) continue;
      const erased = this.source.erasedAt.get(sellerId) ?? 0;
      add(
        erased > 0 && held !== null && namesBefore(held, erased)
          ? 'nothing erased returns'
          : 'view equals source',
        `seller ${sellerId} is at ${told(expected)} in the source and at ${told(held)} in the view`,
        { seller: sellerId, partition: partitionOf(String(sellerId), this.source.layout) },
      );
    }
    return waits;
  }

  /** Judges the end, once everything is quiet. */
  atTheEnd(waits: readonly Finding[]): void {
    this.findings.push(...waits);
    for (const [sellerId, version] of this.#acknowledged) {
      if (this.source.versionOf(sellerId) < version) {
        this.#find('no write is lost', `${sellerId}/${version} was acknowledged, and the source has it not`, {
          seller: sellerId,
        });
      }
    }
    if (waits.length === 0) this.#builtAnew();
    this.topic.partitions.forEach(({ records }, partition) => {
      const last = new Map<string, Sent>();
      for (const { sent, appearance } of records) if (appearance === 'ordinary') last.set(sent.key, sent);
      for (const [key, sent] of last) {
        const newest = this.#newestOnTopic.get(Number(key)) ?? 0;
        if (this.excuses.topicLostRecords || isMarker(sent) || versionIn(sent) >= newest) continue;
        // A seller whom the source did not know when the topic grew was not moved. In the old partition also remains
        // what a restored source no longer knows, and a repair that removed a wrong row.
        const isElsewhere = partition !== partitionOf(key, this.source.layout);
        if (isElsewhere && (this.excuses.sourceRestored || sent.value === null)) continue;
        this.#find('order on the topic', `of seller ${key} ${nameOf(sent)} stands last, and not ${newest}`, {
          seller: Number(key),
          partition,
        });
      }
    });
  }

  /** Judges what a view built from the topic shows after compaction has removed superseded messages and tombstones. */
  #builtAnew(): void {
    if (this.excuses.topicLostRecords || this.excuses.sourceRestored) return;
    const newest = new Map<number, number>();
    this.topic.partitions.forEach(({ records }, partition) => {
      const last = new Map<string, Sent>();
      for (const { sent, appearance } of records) if (appearance === 'ordinary') last.set(sent.key, sent);
      for (const [key, sent] of last) {
        if (sent.value === null) continue;
        const sellerId = Number(key);
        newest.set(sellerId, Math.max(versionIn(sent), newest.get(sellerId) ?? 0));
        if (versionIn(sent) >= (this.source.erasedAt.get(sellerId) ?? 0) || !sent.value.includes('"name"'))
          continue;
        this.#find(
          'nothing erased returns',
          `partition ${partition} keeps ${nameOf(sent)} of a seller who was erased at ${this.source.erasedAt.get(sellerId)}`,
          { seller: sellerId, partition },
        );
      }
    });
    for (const [sellerId, { version, erased }] of this.source.sellers) {
      if (erased || version === 0 || (newest.get(sellerId) ?? 0) >= version) continue;
      this.#find(
        'view equals source',
        `a view that is built anew has seller ${sellerId} at ${newest.get(sellerId) ?? 'nothing'}, and the source at ${version}`,
        { seller: sellerId },
      );
    }
  }

  #isOfSource(row: FullListRow): boolean {
    const text = this.source.history.get(row.sellerId)?.get(row.version);
    return text?.endsWith(`,"clients":${row.clients}}`) ?? false;
  }

  *#namesOf(row: OutboxRow): Generator<string> {
    const kind = row.type === SELLER_MOVED ? 'moved' : row.value === null ? 'tombstone' : row.type;
    yield `${row.sellerId}/${row.version} ${kind}`;
  }

  #find(promised: Promised, what: string, about: About): void {
    this.findings.push({ promised, what, about, at: this.#scheduler.now });
    this.note('JUDGE', () => `${promised}: ${what}`, about);
  }
}

const told = (row: FullListRow | null): string =>
  row === null
    ? 'nothing'
    : `${row.version} ${
        String(row.clients)
          .match(/(?<="name":")[^"]*/g)
          ?.join('+') ?? 'empty'
      }`;

/** Whether the message marks that its key has moved to another partition. */
const isMarker = ({ headers }: Sent): boolean => headers['ce_type'] === MOVED_TYPE;

const versionIn = ({ headers }: Sent): number => Number(/\/(\d+)/.exec(headers['ce_id'] ?? '')?.[1] ?? 0);

const nameOf = (sent: Sent): string => {
  const type = /seller\.([a-z-]+)\./.exec(sent.headers['ce_type'] ?? '')?.[1];
  const what = isMarker(sent) ? 'moved' : sent.value === null ? 'tombstone' : type;
  return `${sent.key}/${versionIn(sent)} ${what}`;
};

/** Whether the row shows content from before the erasure. */
const namesBefore = ({ clients }: FullListRow, erased: number): boolean =>
  [...String(clients).matchAll(/"name":"s\d+v(\d+)/g)].some(([, version]) => Number(version) < erased);
