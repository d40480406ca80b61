import { partitionOf } from '#contracts/partition.ts';
import type { FullListRow } from '../../services/pages/views/full-list.ts';
import type { Session } from './database.ts';
import type { Action, Fault, Server } from './plan.ts';
import { BEGINNING } from './process.ts';
import type { Place, SimWorld } from './world.ts';

type Kinds = { [Kind in Fault['kind']]: Extract<Fault, { kind: Kind }> };

const serverOf = (world: SimWorld, server: Server) => world[server].server;

const placeOf = (
  world: SimWorld,
  { role, index }: { role: Place['role']; index: number },
): Place | undefined => {
  const places = world.of(role).filter((one) => one.isWanted);
  return places[index % places.length];
};

/** Undoes a fault after so long, or when the faults end, whichever is first; `heal` does the latter. */
const later = (world: SimWorld, ms: number, work: () => void) => void world.scheduler.after(ms, null, work);

/** How each fault is made, and how it passes. */
const APPLY_FAULT: { [Kind in keyof Kinds]: (world: SimWorld, fault: Kinds[Kind]) => void } = {
  kill(world, fault) {
    const place = placeOf(world, fault);
    if (!place) return;
    world.kill(place, fault.lingerMs);
    later(world, fault.forMs, () => {
      if (place.isWanted) world.start(place);
    });
  },
  pause(world, fault) {
    const process = placeOf(world, fault)?.process;
    if (!process || process.isDead) return;
    process.pause();
    for (const server of [world.view.server, world.source.server]) {
      for (const session of server.sessions) if (session.process === process) session.expectSilence();
    }
    later(world, fault.forMs, () => process.goOn());
  },
  scale(world, { projectors, isGraceful }) {
    world.of('projector').forEach((place, i) => {
      place.isWanted = i < projectors;
      if (place.isWanted) world.start(place);
      else stop(world, place, isGraceful);
    });
  },
  'clock jumps'(world, fault) {
    const process = placeOf(world, fault)?.process;
    if (process) process.skew += fault.byMs;
  },
  'connections cut'(world, fault) {
    const process = placeOf(world, fault)?.process;
    serverOf(world, fault.server).cut((session: Session) => session.process === process);
  },
  'connections silent'(world, fault) {
    const process = placeOf(world, fault)?.process;
    for (const session of serverOf(world, fault.server).sessions) {
      if (session.process === process) session.silence(fault.forMs);
    }
  },
  'database down'(world, { server, forMs }) {
    serverOf(world, server).crash();
    later(world, forMs, () => serverOf(world, server).start());
  },
  'database slow'(world, { server, ms, forMs }) {
    const slow = serverOf(world, server);
    slow.latency = [ms / 4, ms];
    later(world, forMs, () => {
      slow.latency = USUAL.database;
    });
  },
  'table locked'(world, { forMs }) {
    world.view.server.lock('top_clients');
    later(world, forMs, () => world.view.server.unlock('top_clients'));
  },
  'notify queue full'(world, { forMs }) {
    world.view.isNotifyQueueFull = true;
    later(world, forMs, () => {
      world.view.isNotifyQueueFull = false;
    });
  },
  'rows refused'(world, { seller, forMs }) {
    world.view.refused.add(seller);
    world.judge.excuses.hadParked.add(seller);
    later(world, forMs, () => world.view.refused.delete(seller));
  },
  'topic down'(world, { forMs }) {
    world.topic.isUp = false;
    later(world, forMs, () => {
      world.topic.isUp = true;
    });
  },
  'topic slow'(world, { ms, forMs }) {
    world.topic.latency = [ms / 4, ms];
    later(world, forMs, () => {
      world.topic.latency = USUAL.topic;
    });
  },
  'fetches fail'(world, { share, forMs }) {
    world.topic.faults.fetchFails = share;
    later(world, forMs, () => {
      world.topic.faults.fetchFails = 0;
    });
  },
  'acknowledgements lost'(world, { share, forMs }) {
    world.topic.faults.acknowledgementLost = share;
    later(world, forMs, () => {
      world.topic.faults.acknowledgementLost = 0;
    });
  },
  'foreign transaction'(world, { partitions, forMs }) {
    for (const partition of partitions) {
      world.topic.beginTransaction(partition);
      later(world, forMs, () => world.topic.abortTransaction(partition));
    }
  },
  compaction(world, { partition, share }) {
    world.topic.compact(partition, Math.floor(world.topic.partitions[partition]!.end * share), false);
  },
  truncation(world, { partition, records }) {
    world.judge.excuses.topicLostRecords = true;
    world.topic.truncate(partition, world.topic.partitions[partition]!.end - records);
  },
  'notifications lost'(world, { share, forMs }) {
    world.view.notifications.lost = share;
    later(world, forMs, () => {
      world.view.notifications.lost = 0;
    });
  },
  'notifications late'(world, { ms, forMs }) {
    world.view.notifications.lateMs = ms;
    later(world, forMs, () => {
      world.view.notifications.lateMs = 0;
    });
  },
  'unreadable message'(world, { seller }) {
    const key = String(seller);
    const version = world.source.versionOf(seller);
    // Half of them do not even tell their version.
    const headers: Record<string, string> = { ce_type: 'dev.topclients.seller.client-added.v1' };
    if (version % 2 === 1) headers['ce_id'] = `${seller}/${version}`;
    world.judge.excuses.hadParked.add(seller);
    const sent = {
      key,
      value: 'no JSON',
      timestamp: String(Math.floor(BEGINNING + world.scheduler.now)),
      headers,
    };
    world.topic.append(partitionOf(key, world.source.layout), [sent], 'somebody else', 'unreadable');
  },
  growth(world, { partitions, settleMs }) {
    world.topic.grow(partitions);
    world.source.grow(partitions, settleMs);
  },
  'checkpoints reset'(world) {
    for (const partition of world.view.checkpoints.keys()) world.view.checkpoints.set(partition, 0);
  },
  'wrong row'(world, { seller, how }) {
    const sellerId = how === 'unknown' ? 1_000 + seller : seller;
    const held = world.view.rows.get(sellerId);
    world.judge.excuses.planted.add(sellerId);
    if (how === 'missing') {
      world.view.plant(sellerId, null);
      return;
    }
    const base: FullListRow = held ?? {
      sellerId,
      version: 1,
      committedAt: new Date(BEGINNING).toISOString(),
      clients: '[]',
    };
    world.view.plant(sellerId, {
      ...base,
      version: base.version + (how === 'newer' ? 5 : 0),
      clients: WRONG_LIST,
    });
  },
  'source restored'(world, { forMs }) {
    const restore = world.source.backup();
    later(world, forMs, () => {
      world.source.server.crash();
      restore();
      world.judge.sourceWasRestored();
      world.source.server.start();
    });
  },
  'erased while away'(world, { seller, forgets, forMs }) {
    const projectors = world.of('projector');
    for (const place of projectors) world.kill(place);
    later(world, forMs * 0.1, () => write(world, seller, 'erase', 1, 0));
    later(world, forMs * 0.8, () => {
      if (forgets) world.judge.excuses.topicLostRecords = true;
      world.topic.partitions.forEach(({ end }, partition) => {
        world.topic.compact(partition, end, forgets);
      });
    });
    later(world, forMs, () => {
      for (const place of projectors) if (place.isWanted) world.start(place);
    });
  },
};

const WRONG_LIST =
  '[{"id":"99999999-9999-4999-8999-999999999999","name":"wrong","industry":"","description":"","logo":null,"from":null,"to":null}]';
const USUAL = { database: [0.1, 0.6], topic: [0.2, 1] } as const;

/** Applies an action of the plan now. */
export function applyAction(world: SimWorld, action: Action): void {
  if (action.kind === 'write') write(world, action.seller, action.write, action.holdMs, action.aheadMs);
  else if (action.kind === 'visit') visit(world, action.page, action.seller);
  else {
    const { at: _, kind, ...details } = action;
    world.judge.note('FAULT', () => `${kind} ${JSON.stringify(details)}`);
    (APPLY_FAULT[kind] as (world: SimWorld, fault: Fault) => void)(world, action);
  }
}

/** Ends every fault: from now on everything must recover by itself. */
export function heal(world: SimWorld): void {
  world.judge.note('FAULT', () => 'all faults are over');
  for (const server of [world.view.server, world.source.server]) {
    server.start();
    server.latency = USUAL.database;
  }
  world.view.server.unlock('top_clients');
  world.view.isNotifyQueueFull = false;
  world.view.refused.clear();
  world.view.notifications = { lost: 0, lateMs: 0 };
  world.topic.isUp = true;
  world.topic.latency = USUAL.topic;
  world.topic.faults = { acknowledgementLost: 0, fetchFails: 0 };
  for (const partition of world.topic.partitions.keys()) world.topic.abortTransaction(partition);
  for (const place of world.places) {
    place.process?.goOn();
    if (place.isWanted) world.start(place);
  }
}

function write(
  world: SimWorld,
  seller: number,
  kind: Parameters<SimWorld['source']['write']>[1],
  holdMs: number,
  aheadMs: number,
): void {
  world.source.write(seller, kind, holdMs, aheadMs, (written) => {
    if (written) world.judge.acknowledged(written.sellerId, written.version);
  });
}

function visit(world: SimWorld, index: number, seller: number): void {
  const place = world.of('page')[index];
  const process = place?.process;
  const page = place && world.pages.get(place);
  if (!process || process.isDead || !page) return;
  // The request waits in the socket while the process is paused.
  process.after(0.1, () => void page.visit(seller));
}

function stop(world: SimWorld, place: Place, isGraceful: boolean): void {
  const { process } = place;
  if (!process || process.isDead) return;
  if (!isGraceful || !place.stop) {
    world.kill(place);
    return;
  }
  world.judge.note(place.name, () => 'is told to stop');
  const ask = place.stop;
  process.after(0, () => {
    void ask().finally(() => world.kill(place));
  });
}
