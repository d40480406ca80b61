import { type Random, randomFor } from '../../services/seed/random.ts';
import type { WriteKind } from './sim-source.ts';

export type Role = 'projector' | 'relay' | 'page' | 'watcher';

/** The parts of a run; drawn from the seed, so that some of them can be left out. */
export interface Setup {
  readonly partitions: number;
  readonly brokers: number;
  readonly sellers: number;
  readonly projectors: number;
  readonly relays: number;
  readonly pages: number;
  readonly watcher: 'none' | 'watches' | 'repairs';
  /** When the faults end, in virtual ms. */
  readonly faultsEndAt: number;
}

interface Lasting {
  readonly forMs: number;
}
interface OfProcess {
  readonly role: Role;
  readonly index: number;
}

export type Fault =
  | ({ readonly kind: 'kill'; readonly lingerMs: number } & OfProcess & Lasting)
  | ({ readonly kind: 'pause' } & OfProcess & Lasting)
  | { readonly kind: 'scale'; readonly projectors: number; readonly isGraceful: boolean }
  | ({ readonly kind: 'clock jumps'; readonly byMs: number } & OfProcess)
  | ({ readonly kind: 'connections cut'; readonly server: Server } & OfProcess)
  | ({ readonly kind: 'connections silent'; readonly server: Server } & OfProcess & Lasting)
  | ({ readonly kind: 'database down'; readonly server: Server } & Lasting)
  | ({ readonly kind: 'database slow'; readonly server: Server; readonly ms: number } & Lasting)
  | ({ readonly kind: 'table locked' } & Lasting)
  | ({ readonly kind: 'notify queue full' } & Lasting)
  | ({ readonly kind: 'rows refused'; readonly seller: number } & Lasting)
  | ({ readonly kind: 'topic down' } & Lasting)
  | ({ readonly kind: 'topic slow'; readonly ms: number } & Lasting)
  | ({ readonly kind: 'fetches fail'; readonly share: number } & Lasting)
  | ({ readonly kind: 'acknowledgements lost'; readonly share: number } & Lasting)
  | ({ readonly kind: 'foreign transaction'; readonly partitions: readonly number[] } & Lasting)
  | { readonly kind: 'compaction'; readonly partition: number; readonly share: number }
  | { readonly kind: 'truncation'; readonly partition: number; readonly records: number }
  | ({ readonly kind: 'notifications lost'; readonly share: number } & Lasting)
  | ({ readonly kind: 'notifications late'; readonly ms: number } & Lasting)
  | { readonly kind: 'unreadable message'; readonly seller: number }
  | { readonly kind: 'growth'; readonly partitions: number; readonly settleMs: number }
  | { readonly kind: 'checkpoints reset' }
  | {
      readonly kind: 'wrong row';
      readonly seller: number;
      readonly how: 'newer' | 'same' | 'missing' | 'unknown';
    }
  | ({ readonly kind: 'source restored' } & Lasting)
  | ({ readonly kind: 'erased while away'; readonly seller: number; readonly forgets: boolean } & Lasting);
export type Server = 'view' | 'source';

export type Action = { readonly at: number } & (
  | {
      readonly kind: 'write';
      readonly seller: number;
      readonly write: WriteKind;
      /** Between drawing the ids and the commit. */
      readonly holdMs: number;
      readonly aheadMs: number;
    }
  | { readonly kind: 'visit'; readonly page: number; readonly seller: number }
  | Fault
);

export interface Plan {
  readonly seed: number;
  readonly setup: Setup;
  readonly actions: readonly Action[];
}

export function planOf(seed: number): Plan {
  const random = randomFor('plan', 0, seed);
  const watcher = random.pick(['none', 'none', 'watches', 'repairs'] as const);
  const setup: Setup = {
    partitions: random.integer(2, 6),
    brokers: random.integer(1, 2),
    sellers: random.integer(4, 10),
    projectors: random.integer(1, 3),
    relays: random.integer(1, 2),
    pages: random.integer(1, 2),
    watcher,
    faultsEndAt: random.integer(15, 75) * 1_000,
  };
  const faults = random.chance(0.35) ? themed(random, setup) : mixed(random, setup);
  const actions = [...faults, ...writes(random, setup), ...visits(random, setup)];
  return { seed, setup, actions: actions.toSorted((a, b) => a.at - b.at) };
}

/** A few kinds a run, each perhaps several times: so rare combinations occur that a mix of all kinds would hide. */
function mixed(random: Random, setup: Setup): Action[] {
  const kinds = [...FAULTS.keys()].filter((kind) => isPossible(kind, setup));
  const chosen = Array.from({ length: random.integer(1, 4) }, () => random.pick(kinds));
  return Array.from({ length: random.integer(1, 9) }, () =>
    draw(random, setup, random.pick(chosen), random.integer(500, setup.faultsEndAt - 500)),
  );
}

/** Kinds that interfere with each other, at about the same time. */
function themed(random: Random, setup: Setup): Action[] {
  const themes = THEMES.filter(({ kinds }) => kinds.every((kind) => isPossible(kind, setup)));
  const { kinds, role, isOrdered } = random.pick(themes);
  return Array.from({ length: random.integer(1, 3) }, () => {
    const at = random.integer(500, setup.faultsEndAt - 3_500);
    const withinMs = random.pick([600, 3_000]);
    const all = isOrdered ? kinds : [...kinds, random.pick(kinds)];
    const faults = all.map((kind, i) => {
      const later = isOrdered ? 400 + 250 * i + random.integer(0, 250) : random.integer(0, withinMs);
      const action = draw(random, setup, kind, at + later);
      return role !== undefined && 'role' in action ? { ...action, role } : action;
    });
    const traffic = Array.from({ length: 8 }, () =>
      write(random, setup, at + random.integer(0, withinMs + 1_000)),
    );
    return [...faults, ...traffic];
  }).flat();
}

const isPossible = (kind: Fault['kind'], { watcher }: Setup): boolean => {
  const { needs } = FAULTS.get(kind)!;
  return needs === undefined || needs === watcher;
};

/** Whether a plan has what each of its faults needs to be healed; otherwise no outcome would count. */
export const isSound = ({ setup, actions }: Plan): boolean =>
  actions.every(
    (action) =>
      (!isFault(action) || isPossible(action.kind, setup)) &&
      !(action.kind === 'erased while away' && action.forgets && setup.watcher !== 'repairs'),
  );

const isFault = (action: Action): action is Extract<Action, Fault> =>
  FAULTS.has(action.kind as Fault['kind']);

const draw = (random: Random, setup: Setup, kind: Fault['kind'], at: number): Action => ({
  at,
  ...FAULTS.get(kind)!.draw(random, setup, setup.faultsEndAt - at),
});

interface Theme {
  readonly kinds: readonly Fault['kind'][];
  /** The role whose process is meant, where it matters. */
  readonly role?: Role;
  /** In this order, within half a second, and once each. */
  readonly isOrdered?: true;
}

/** The comment before each group says what it is to find. */
const THEMES: readonly Theme[] = [
  // Late answers of the bus to earlier requests.
  { kinds: ['connections cut', 'foreign transaction', 'compaction', 'topic slow'], role: 'projector' },
  { kinds: ['database down', 'foreign transaction', 'foreign transaction'] },
  { kinds: ['foreign transaction', 'database down'], isOrdered: true },
  // Zombies.
  { kinds: ['pause', 'topic down', 'acknowledgements lost'], role: 'relay' },
  { kinds: ['pause', 'connections silent', 'kill'], role: 'relay' },
  { kinds: ['pause', 'connections silent', 'database slow'], role: 'projector' },
  // A rebalance while the database fails.
  { kinds: ['scale', 'table locked', 'scale'] },
  { kinds: ['scale', 'database down', 'pause'], role: 'projector' },
  // Erasures that a projector missed.
  { kinds: ['erased while away', 'rows refused', 'notify queue full'] },
  { kinds: ['erased while away', 'unreadable message', 'checkpoints reset'] },
  // Repairs that are read again, among rows that are refused.
  { kinds: ['source restored', 'checkpoints reset', 'rows refused', 'kill'], role: 'projector' },
  { kinds: ['wrong row', 'rows refused', 'checkpoints reset', 'compaction'] },
  // Sellers who move while things fail, and are erased.
  { kinds: ['growth', 'pause', 'acknowledgements lost', 'compaction'], role: 'relay' },
  { kinds: ['growth', 'kill', 'erased while away', 'compaction'], role: 'projector' },
  // Pages that miss notifications.
  { kinds: ['wrong row', 'notifications lost', 'notifications late'] },
  { kinds: ['notify queue full', 'notifications lost', 'database down'] },
];

function writes(random: Random, setup: Setup): Action[] {
  const count = random.integer(10, 60);
  const during = Array.from({ length: count }, () =>
    write(random, setup, random.integer(0, setup.faultsEndAt)),
  );
  // And some after everything is healed: they show what is stuck without a sign.
  const after = Array.from({ length: setup.partitions + 2 }, () =>
    write(random, setup, setup.faultsEndAt + random.integer(300, 1_500)),
  );
  return [...during, ...after];
}

const write = (random: Random, { sellers }: Setup, at: number): Action => ({
  at,
  kind: 'write',
  seller: random.integer(1, sellers),
  write: random.pick(['add', 'add', 'rename', 'rename', 'remove', 'erase'] as const),
  holdMs: random.chance(0.15) ? random.integer(50, 1_500) : random.integer(1, 8),
  aheadMs: 0,
});

const visits = (random: Random, setup: Setup): Action[] => {
  const liked = random.integer(1, setup.sellers);
  return Array.from({ length: random.integer(10, 50) }, () => ({
    at: random.integer(0, setup.faultsEndAt + 8_000),
    kind: 'visit' as const,
    page: random.integer(0, setup.pages - 1),
    seller: random.chance(0.6) ? liked : random.integer(1, setup.sellers),
  }));
};

const ROLES: readonly Role[] = ['projector', 'projector', 'projector', 'relay', 'relay', 'page', 'watcher'];
const processOf = (random: Random): OfProcess => ({ role: random.pick(ROLES), index: random.integer(0, 2) });
const server = (random: Random): Server => random.pick(['view', 'view', 'source'] as const);
const lasting = (random: Random, least: number, most: number, longest: number): Lasting => ({
  forMs: Math.min(random.integer(least, most), longest),
});

interface Kind {
  readonly draw: (random: Random, setup: Setup, longest: number) => Fault;
  /** The watcher without which the run could not end well. */
  readonly needs?: Setup['watcher'];
}

const FAULTS = new Map<Fault['kind'], Kind>([
  [
    'kill',
    {
      draw: (random, _, longest) => ({
        kind: 'kill',
        ...processOf(random),
        lingerMs: random.chance(0.3) ? random.integer(500, 5_000) : 0,
        ...lasting(random, 50, 6_000, longest),
      }),
    },
  ],
  [
    'pause',
    {
      draw: (random, _, longest) => ({
        kind: 'pause',
        ...processOf(random),
        // Shorter than a lease and a session survive, or longer.
        ...(random.chance(0.5)
          ? lasting(random, 200, 3_000, longest)
          : lasting(random, 5_000, 12_000, longest)),
      }),
    },
  ],
  [
    'scale',
    {
      draw: (random) => ({
        kind: 'scale',
        projectors: random.integer(1, 3),
        isGraceful: random.chance(0.7),
      }),
    },
  ],
  [
    'clock jumps',
    {
      draw: (random) => ({
        kind: 'clock jumps',
        ...processOf(random),
        byMs: random.pick([-3_600_000, -5_000, 5_000, 3_600_000]),
      }),
    },
  ],
  [
    'connections cut',
    { draw: (random) => ({ kind: 'connections cut', server: server(random), ...processOf(random) }) },
  ],
  [
    'connections silent',
    {
      draw: (random, _, longest) => ({
        kind: 'connections silent',
        server: server(random),
        ...processOf(random),
        ...lasting(random, 500, 15_000, longest),
      }),
    },
  ],
  [
    'database down',
    {
      draw: (random, _, longest) => ({
        kind: 'database down',
        server: server(random),
        ...lasting(random, 50, random.pick([400, 5_000]), longest),
      }),
    },
  ],
  [
    'database slow',
    {
      draw: (random, _, longest) => ({
        kind: 'database slow',
        server: server(random),
        ms: random.integer(20, 800),
        ...lasting(random, 500, 10_000, longest),
      }),
    },
  ],
  [
    'table locked',
    { draw: (random, _, longest) => ({ kind: 'table locked', ...lasting(random, 500, 15_000, longest) }) },
  ],
  [
    'notify queue full',
    {
      draw: (random, _, longest) => ({ kind: 'notify queue full', ...lasting(random, 200, 6_000, longest) }),
    },
  ],
  [
    'rows refused',
    {
      draw: (random, { sellers }, longest) => ({
        kind: 'rows refused',
        seller: random.integer(1, sellers),
        ...lasting(random, 200, 6_000, longest),
      }),
    },
  ],
  [
    'topic down',
    { draw: (random, _, longest) => ({ kind: 'topic down', ...lasting(random, 200, 8_000, longest) }) },
  ],
  [
    'topic slow',
    {
      draw: (random, _, longest) => ({
        kind: 'topic slow',
        ms: random.integer(20, 800),
        ...lasting(random, 500, 10_000, longest),
      }),
    },
  ],
  [
    'fetches fail',
    {
      draw: (random, _, longest) => ({
        kind: 'fetches fail',
        share: random.fraction(),
        ...lasting(random, 500, 10_000, longest),
      }),
    },
  ],
  [
    'acknowledgements lost',
    {
      draw: (random, _, longest) => ({
        kind: 'acknowledgements lost',
        share: random.fraction(),
        ...lasting(random, 500, 10_000, longest),
      }),
    },
  ],
  [
    'foreign transaction',
    {
      draw: (random, { partitions }, longest) => ({
        kind: 'foreign transaction',
        partitions: random.chance(0.5) ? [...Array(partitions).keys()] : [random.integer(0, partitions - 1)],
        ...lasting(random, 200, random.pick([1_500, 10_000]), longest),
      }),
    },
  ],
  [
    'compaction',
    {
      draw: (random, { partitions }) => ({
        kind: 'compaction',
        partition: random.integer(0, partitions - 1),
        share: random.pick([1, 1, 0.5]),
      }),
    },
  ],
  [
    'truncation',
    {
      needs: 'repairs',
      draw: (random, { partitions }) => ({
        kind: 'truncation',
        partition: random.integer(0, partitions - 1),
        records: random.integer(1, 8),
      }),
    },
  ],
  [
    'notifications lost',
    {
      draw: (random, _, longest) => ({
        kind: 'notifications lost',
        share: random.fraction(),
        ...lasting(random, 500, 10_000, longest),
      }),
    },
  ],
  [
    'notifications late',
    {
      draw: (random, _, longest) => ({
        kind: 'notifications late',
        ms: random.integer(50, 3_000),
        ...lasting(random, 500, 10_000, longest),
      }),
    },
  ],
  [
    'unreadable message',
    { draw: (random, { sellers }) => ({ kind: 'unreadable message', seller: random.integer(1, sellers) }) },
  ],
  [
    'growth',
    {
      draw: (random, { partitions }) => ({
        kind: 'growth',
        partitions: partitions + random.integer(1, 4),
        settleMs: random.integer(6_000, 10_000),
      }),
    },
  ],
  ['checkpoints reset', { draw: () => ({ kind: 'checkpoints reset' }) }],
  [
    'wrong row',
    {
      needs: 'repairs',
      draw: (random, { sellers }) => ({
        kind: 'wrong row',
        seller: random.integer(1, sellers),
        how: random.pick(['newer', 'same', 'same', 'missing', 'unknown'] as const),
      }),
    },
  ],
  [
    'source restored',
    {
      needs: 'repairs',
      draw: (random, _, longest) => ({ kind: 'source restored', ...lasting(random, 200, 8_000, longest) }),
    },
  ],
  [
    'erased while away',
    {
      draw: (random, { sellers, watcher }, longest) => ({
        kind: 'erased while away',
        seller: random.integer(1, sellers),
        forgets: watcher === 'repairs' && random.chance(0.3),
        ...lasting(random, 3_000, 8_000, longest),
      }),
    },
  ],
]);
