import { beforeEach, expect, test } from '@jest/globals';
import type { ClientList, PageClient } from '#pages/page.ts';
import type { FullListRow } from '../../services/pages/views/full-list.ts';
import { planOf } from './plan.ts';
import { digestOf } from './sim-view-database.ts';
import type { Sent } from './witness.ts';
import { SimWorld } from './world.ts';

const SELLER = 3;
let world: SimWorld;

beforeEach(() => {
  world = new SimWorld(1, { ...planOf(1).setup, partitions: 2 }, false);
});

const found = () => world.judge.findings.map(({ promised }) => promised);
const row = (version: number, ...names: string[]): FullListRow => ({
  sellerId: SELLER,
  version,
  committedAt: '2026-11-01T00:00:00.000Z',
  clients: JSON.stringify(names.map((name) => ({ id: name, name }))),
});
const shownAs = (one: FullListRow): ClientList => {
  const clients = JSON.parse(String(one.clients)) as PageClient[];
  return { version: one.version, committedAt: 0, clients, total: clients.length };
};
const sent = (version: number, value: string | null = '{}'): Sent => ({
  key: String(SELLER),
  value,
  timestamp: '0',
  headers: { ce_id: `${SELLER}/${version}`, ce_type: 'dev.topclients.seller.client-added.v1' },
});
const outboxRow = (version: number) => ({
  id: version,
  sellerId: SELLER,
  version,
  type: 'client-added',
  value: '{}',
  committedAt: 0,
  traceparent: null,
  replaces: null,
  partition: null,
});
const difference = (held: FullListRow | null, expected: number) => ({
  sellerId: SELLER,
  expected,
  held: held?.version ?? null,
  digests: { expected: 1n, held: held ? digestOf(held) : 0n },
});

test('a view that only goes forward is fine; one that is taken back is not', () => {
  world.view.upsert([row(1, 'a')], false);
  world.view.upsert([row(2, 'a', 'b')], false);
  expect(found()).toEqual([]);
  world.source.history.set(SELLER, new Map([[2, `{"x":1,"clients":${row(2, 'a', 'b').clients}}`]]));
  const wrong = [{ version: 2, digest: String(digestOf(row(2, 'a', 'b'))) }];
  world.view.replace(SELLER, wrong, row(1, 'a'), false);
  expect(found()).toEqual(['view never goes back']);
});

test('a repair of a row that the source never had may take it back', () => {
  world.view.plant(SELLER, row(9, 'wrong'));
  world.view.replace(SELLER, [{ version: 9, digest: String(digestOf(row(9, 'wrong'))) }], row(1, 'a'), false);
  expect(found()).toEqual([]);
});

test('rows that a crash takes with it are no step back', () => {
  world.view.upsert([row(1, 'a')], false);
  world.view.flush();
  world.view.upsert([row(2, 'a', 'b')], false);
  world.view.server.crash();
  expect(world.view.rows.get(SELLER)?.version).toBe(1);
  expect(found()).toEqual([]);
});

test('an old version behind a newer one breaks the order, a batch that is sent again does not', () => {
  world.topic.append(1, [sent(1), sent(2)], 'relay');
  world.topic.append(1, [sent(1), sent(2)], 'relay');
  expect(found()).toEqual([]);
  world.topic.append(1, [sent(1)], 'zombie');
  expect(found()).toEqual(['order on the topic']);
});

test('what leaves the outbox must have been sent', () => {
  world.topic.append(1, [sent(1)], 'relay');
  world.judge.removed([outboxRow(1)]);
  expect(found()).toEqual([]);
  world.judge.removed([outboxRow(2)]);
  expect(found()).toEqual(['no write is lost']);
});

test('an acknowledged write that the source does not have is lost', () => {
  world.judge.acknowledged(SELLER, 1);
  world.judge.atTheEnd([]);
  expect(found()).toEqual(['no write is lost']);
});

test('a page may show for five seconds what the view has replaced', () => {
  world.view.upsert([row(1, 'a')], false);
  world.scheduler.run(1_000);
  world.view.upsert([row(2, 'b')], false);
  world.scheduler.run(5_900);
  world.judge.shown('page', SELLER, shownAs(row(1, 'a')), world.scheduler.now);
  world.judge.shown('page', SELLER, shownAs(row(2, 'b')), world.scheduler.now);
  expect(found()).toEqual([]);
  world.scheduler.run(6_100);
  world.judge.shown('page', SELLER, shownAs(row(1, 'a')), world.scheduler.now);
  expect(found()).toEqual(['page shows the view']);
});

test('a page that shows what the view never had, at a version that it has, is found', () => {
  world.view.upsert([row(1, 'a')], false);
  world.judge.shown('page', SELLER, shownAs(row(1, 'other')), world.scheduler.now);
  expect(found()).toEqual(['page shows the view']);
});

test('a checkpoint must not pass what is not applied', () => {
  world.topic.append(1, [sent(1), sent(2)], 'relay');
  world.view.upsert([row(2, 'a')], false);
  world.judge.checkpointMoved(1, 0, 2);
  expect(found()).toEqual([]);
  world.topic.append(1, [sent(3)], 'relay');
  world.judge.checkpointMoved(1, 2, 3);
  expect(found()).toEqual(['view equals source']);
});

test('a repair must have a reason that the plan gave, and not be needed twice', () => {
  const wrong = row(9, 'wrong');
  world.judge.excuses.planted.add(SELLER);
  world.view.plant(SELLER, wrong);
  world.judge.repairsSent([difference(wrong, 1)]);
  world.view.replace(SELLER, [{ version: 9, digest: String(digestOf(wrong)) }], row(1, 'a'), false);
  expect(found()).toEqual([]);
  world.judge.repairsSent([difference(wrong, 1)]);
  expect(found()).toEqual(['repairs only what is wrong']);
  world.judge.repairsSent([{ ...difference(null, 4), sellerId: 8 }]);
  expect(found()).toHaveLength(2);
});

test('what waits for ever is named: rows to send, partitions that nobody owns or that lag, views that differ', () => {
  world.source.outbox.set(1, outboxRow(1));
  world.topic.append(1, [sent(1)], 'relay');
  world.view.owners.set(0, 1);
  world.view.rows.set(SELLER, row(1, 'a'));
  const waits = world.judge.whatWaits().map(({ what }) => what);
  expect(waits).toEqual([
    expect.stringContaining('1 rows of the outbox are not sent'),
    expect.stringContaining('partition 1 is applied up to 0 of 1'),
    expect.stringContaining('partition 1 is owned by nobody'),
    expect.stringContaining(`seller ${SELLER} is at nothing in the source`),
  ]);
});
