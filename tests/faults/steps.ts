/** Roles stopped at an exact step: a gate holds the message, and the role is killed or sleeps meanwhile. */
import { pause, within } from '#platform/lifecycle.ts';
import { killForSure } from './crashes.ts';
import type { Fault, Injection } from './fault.ts';
import type { Armed, Stop } from './gate.ts';
import type { RoleName, RoleUnderFault } from './world.ts';

interface Step {
  readonly name: string;
  readonly about: string;
  /** The first of these roles that reaches the step. */
  readonly roles: readonly RoleName[];
  readonly edge: 'db' | 'kafka';
  readonly stop: Stop;
  /** The step occurs only when projectors come and go: one is killed, others take its partitions and give them back. */
  readonly stirs?: boolean;
}

const COMMIT = /^Q commit/i;
const UPSERT = /^B upsert-full-list /;
const step = (
  name: string,
  about: string,
  roles: readonly RoleName[],
  edge: Step['edge'],
  when: Stop['when'],
  at: RegExp,
): Step => ({ name, about, roles, edge, stop: { at, when } });

const stirred = (...args: Parameters<typeof step>): Step => ({ ...step(...args), stirs: true });

const RELAYS = ['relay-1', 'relay-2'] as const;
const PROJECTORS = ['projector-gig-1', 'projector-gig-2', 'projector-user'] as const;

const STEPS: readonly Step[] = [
  step('source-before-commit', 'before the commit', ['source'], 'db', 'before', COMMIT),
  step('source-after-commit', 'after the commit, before its answer', ['source'], 'db', 'after', COMMIT),
  step('relay-before-send', 'before the batch reaches Kafka', RELAYS, 'kafka', 'before', /^produce$/),
  step(
    'relay-after-send',
    'after Kafka has it, before the relay knows',
    RELAYS,
    'kafka',
    'after',
    /^produce$/,
  ),
  step(
    'relay-before-delete',
    'after the send, before the delete',
    RELAYS,
    'db',
    'before',
    /^B ack-and-fetch(-with-receipts)? \{\d/,
  ),
  step(
    'relay-after-delete',
    'after the delete, before its answer',
    RELAYS,
    'db',
    'after',
    /^B ack-and-fetch(-with-receipts)? \{\d/,
  ),
  step('projector-before-rows', 'before the rows are written', PROJECTORS, 'db', 'before', UPSERT),
  step('projector-after-rows', 'after the rows, before the answer', PROJECTORS, 'db', 'after', UPSERT),
  step(
    'projector-before-checkpoint',
    "after the view's commit, before the checkpoint's",
    PROJECTORS,
    'db',
    'before',
    /^B checkpoint /,
  ),
  stirred(
    'projector-before-owning',
    'before it takes partitions that are free',
    PROJECTORS,
    'db',
    'before',
    /^B own-partitions /,
  ),
  stirred(
    'projector-after-owning',
    'after it has partitions, before it knows',
    PROJECTORS,
    'db',
    'after',
    /^B own-partitions /,
  ),
  stirred(
    'projector-before-disowning',
    'after the checkpoint of a partition that it gives to others, before its lock is free',
    PROJECTORS,
    'db',
    'before',
    /^B disown-partitions /,
  ),
  step(
    'projector-before-offsets',
    'after the checkpoint, before the offsets that others see the lag by',
    PROJECTORS,
    'kafka',
    'before',
    /^offset-commit$/,
  ),
];

const LONGEST_WAIT_MS = 8_000;

/** Stops the first role that reaches the step. @returns null when none did */
async function reach({ world, log }: Injection, { roles, edge, stop, name, stirs }: Step) {
  const armed = roles.map((role) => ({
    role: world.role(role),
    armed: world.role(role).gates[edge]!.arm(stop),
  }));
  let first: { role: RoleUnderFault; armed: Armed } | undefined;
  if (stirs) await killForSure(world.role('projector-gig-2'));
  await within(
    LONGEST_WAIT_MS,
    'the step',
    Promise.race(
      armed.map(async (one) => {
        await one.armed.reached;
        first ??= one;
      }),
    ),
  ).catch(() => {});
  for (const one of armed) if (one !== first) one.armed.release('go on');
  if (!first) log(`nobody came to ${name} within ${LONGEST_WAIT_MS} ms`);
  return first ?? null;
}

export const steps: readonly Fault[] = [
  ...STEPS.flatMap((one): Fault[] => [
    {
      name: `kill-${one.name}`,
      about: `kill -9 ${one.about}`,
      touches: one.roles[0]!.split('-')[0]!,
      pages: 'answer',
      seconds: [0, 1],
      async inject(injection) {
        // More than once, because a step loses something only by chance.
        for (let turn = 0; turn < 2; turn++) {
          const stopped = await reach(injection, one);
          if (!stopped) break;
          // Sometimes long enough for what runs beside the step: a checkpoint, a heartbeat.
          await pause(injection.random.integer(0, 900));
          await killForSure(stopped.role);
          stopped.armed.release('reset');
          await pause(1_500);
        }
        return async () => {};
      },
    },
    {
      name: `hang-${one.name}`,
      about: `SIGSTOP ${one.about}; the message goes on only after it woke up`,
      touches: one.roles[0]!.split('-')[0]!,
      pages: 'answer',
      seconds: [3, 8],
      async inject(injection) {
        const stopped = await reach(injection, one);
        if (!stopped) return async () => {};
        stopped.role.process.kill('SIGSTOP');
        return async () => {
          stopped.role.process.kill('SIGCONT');
          await pause(200);
          stopped.armed.release('go on');
        };
      },
    },
  ]),
  {
    name: 'late-commits',
    about: 'transactions that commit out of order: some are held at their commit while later ids go by',
    touches: 'source',
    pages: 'answer',
    seconds: [0, 1],
    async inject(injection) {
      const [commit] = STEPS;
      for (let turn = 0; turn < 6; turn++) {
        const held = await reach(injection, commit!);
        if (!held) break;
        await pause(injection.random.integer(100, 1_200));
        held.armed.release('go on');
      }
      return async () => {};
    },
  },
  {
    name: 'rebalance-in-batch',
    about: 'one projector dies, and another takes its partitions over in the middle of a batch',
    touches: 'projector',
    pages: 'answer',
    seconds: [1, 4],
    async inject(injection) {
      const rows = STEPS.find(({ name }) => name === 'projector-before-rows')!;
      const busy = await reach(injection, { ...rows, roles: ['projector-gig-1'] });
      await killForSure(injection.world.role('projector-gig-2'));
      return async () => busy?.armed.release('go on');
    },
  },
];
