import { join } from 'node:path';
import { pause } from '#platform/lifecycle.ts';
import { makeUsers } from '../local-stack/database-users.ts';
import {
  EXAMPLE_PAGES,
  ExampleMissing,
  type ExamplePage,
  prepareExample,
} from '../local-stack/example-pages.ts';
import type { LocalPostgres } from '../local-stack/postgres.ts';
import { publicUrl } from './addresses.ts';
import { EXAMPLES } from './lab/cards.ts';
import { describeExample, type Surroundings } from './roles.ts';
import type { Supervisor } from './supervisor.ts';
import { untilViewsEqualSource } from './views.ts';

/** `absent`: it does not run here; `why` says what is needed. */
export type ExampleState =
  | { readonly state: 'preparing' }
  | { readonly state: 'running' }
  | { readonly state: 'absent'; readonly why: string };
export type ExampleStates = Record<ExamplePage, ExampleState>;

const AGAIN_MS = 5_000;

export const allExamples = (at: ExampleState): ExampleStates => ({ 'python-page': at, 'node-page': at });

/**
 * Starts the pages of `examples`, one after the other: installs what each needs, makes a database for it, fills that by a
 * projector, and starts its program. Nobody waits for them. One that cannot be had on this machine is told of and left
 * out; where something else is away, it is tried again.
 * @param into receives their states
 * @returns when each runs or is absent, or the signal aborts; never rejects
 */
export async function startExamples(
  around: Surroundings,
  postgres: LocalPostgres,
  supervisor: Supervisor,
  into: ExampleStates,
  { say, log, signal }: { say: (line: string) => void; log: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  for (const name of EXAMPLE_PAGES) {
    const { title, port, pathOf } = EXAMPLES.find((one) => one.name === name)!;
    while (into[name].state !== 'running') {
      try {
        await startExample(name);
        into[name] = { state: 'running' };
        say(`  ✓ ${title}: ${publicUrl(around.ports[port])}${pathOf(1)}`);
      } catch (err) {
        if (signal.aborted) return;
        const [why] = (err as Error).message.split('\n');
        log(`the example ${name} does not run: ${(err as Error).stack}`);
        if (into[name].state === 'preparing') {
          say(`  ! ${title} does not run: ${why}; ${join(supervisor.logs, 'supervisor.log')} tells more`);
        }
        into[name] = { state: 'absent', why: why! };
        if (err instanceof ExampleMissing) break;
        // What it needs of the demo may have been killed and comes back.
        await pause(AGAIN_MS, signal);
        if (signal.aborted) return;
      }
    }
  }

  async function startExample(name: ExamplePage): Promise<void> {
    const program = await prepareExample(name, signal);
    await makeUsers(postgres, [name]);
    await postgres.createDatabase(name);
    const { migration, projector, env, healthPort } = describeExample(name, around);
    await supervisor.task(migration);
    await supervisor.roles([projector]);
    await untilViewsEqualSource(
      around.database,
      [{ page: name, delivery: 'asynchronous' }],
      () => {},
      signal,
    );
    await supervisor.page(name, program, env, healthPort);
    await supervisor.scrape([projector, { name, role: 'page', healthPort }]);
  }
}
