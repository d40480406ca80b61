import { ListCache, readThroughCache } from '#pages/list-cache.ts';
import type { ClientList, Statement } from '#pages/page.ts';
import { ChangeNotifications } from '../../services/page-kit/cache-invalidation.ts';
import type { FullListRow } from '../../services/pages/views/full-list.ts';
import type { Session } from './database.ts';
import type { SimProcess } from './process.ts';
import { digestOf } from './sim-view-database.ts';
import type { Stage } from './stage.ts';

const STATEMENT_TIMEOUT_MS = 1_000;
const TRY_AGAIN_MS = 1_000;

/** Shows lists: the part of a page server between a request and its page's database. */
export class PageServer {
  readonly #world: Stage;
  readonly #process: SimProcess;
  readonly #changes: ChangeNotifications;
  readonly #recent: ListCache;
  #session: Promise<Session> | null = null;

  constructor(world: Stage, process: SimProcess) {
    this.#world = world;
    this.#process = process;
    this.#changes = new ChangeNotifications(process.clock);
    this.#recent = new ListCache(this.#changes, process.clock);
  }

  /** Like `followChangeNotifications`: on a connection of its own, again after each loss. */
  async listen(): Promise<void> {
    const { view } = this.#world;
    const { clock } = this.#process;
    for (;;) {
      const over = Promise.withResolvers<void>();
      try {
        const session = await view.server.connect(this.#process, () => over.resolve(), STATEMENT_TIMEOUT_MS);
        const listener = { process: this.#process, told: (payload: string) => this.#changes.note(payload) };
        session.onEnd.push(() => view.listeners.delete(listener));
        await session.query(() => void view.listeners.add(listener));
        this.#changes.begin();
        await over.promise;
      } catch {
        // The connection was lost before it listened.
      } finally {
        this.#changes.end();
      }
      await clock.pause(TRY_AGAIN_MS);
    }
  }

  async visit(sellerId: number): Promise<void> {
    const since = this.#world.scheduler.now;
    let shown: ClientList | null;
    try {
      const session = await this.#open();
      const read = await readThroughCache(
        this.#recent,
        sellerId,
        {
          query: <Row>({ values }: Statement) =>
            session.query(() => this.#changed(values) as Row[], 'top_clients'),
        },
        () => 0,
        () => session.query(() => ({ seller_id: sellerId })),
        (remembered) =>
          session.query(() => {
            const row = this.#world.view.rows.get(sellerId);
            return [{ seller_id: sellerId, held: row ? answer(row, remembered) : null }];
          }, 'top_clients'),
      );
      shown = read!.held.get(sellerId) ?? null;
    } catch (err) {
      // The page then shows no list.
      this.#world.judge.note(
        this.#process.name,
        () => `shows ${sellerId} without a list: ${(err as Error).message}`,
      );
      return;
    }
    this.#world.judge.shown(this.#process.name, sellerId, shown, since);
  }

  /** Which of the lists that are asked about the view no longer has, as `ListCache` asks. */
  #changed([sellers, remembered]: unknown[]): ReadonlyArray<{ readonly position: number }> {
    return (sellers as number[]).flatMap((sellerId, i) => {
      const row = this.#world.view.rows.get(sellerId);
      const digest = row ? String(digestOf(row)) : null;
      return digest === (remembered as Array<string | null>)[i] ? [] : [{ position: i + 1 }];
    });
  }

  #open(): Promise<Session> {
    this.#session ??= this.#world.view.server.connect(
      this.#process,
      () => {
        this.#session = null;
      },
      STATEMENT_TIMEOUT_MS,
    );
    this.#session.catch(() => {
      this.#session = null;
    });
    return this.#session;
  }
}

/** The answer's column, as `listIfNewer` selects it. */
function answer(row: FullListRow, remembered: string | null): string {
  const digest = String(digestOf(row));
  if (digest === remembered) return '';
  return `${digest} ${row.version} ${Date.parse(row.committedAt) / 1_000} ${row.clients}`;
}
