import { type Client, type ClientPatch, isPeriodValid, LIMITS, type NewClient } from '#contracts/client.ts';
import type { ChangeType, SellerChange } from '#contracts/events.ts';
import { foldName } from '#contracts/text.ts';

/** A seller's list at a version. The version counts the seller's changes: 1, 2, 3 … */
export interface Seller {
  readonly version: number;
  readonly clients: readonly Client[];
  /** True from an erasure until the seller's next change, so that erasing twice commits once. */
  readonly erased: boolean;
}

/** The state of every seller before the first change. */
export const NEW_SELLER: Seller = { version: 0, clients: [], erased: false };

/** A command of a seller or an operator. The id of a new client is drawn outside. */
export type SellerCommand =
  | { readonly kind: 'add-client'; readonly clientId: string; readonly client: NewClient }
  | { readonly kind: 'update-client'; readonly clientId: string; readonly patch: ClientPatch }
  | { readonly kind: 'remove-client'; readonly clientId: string }
  | { readonly kind: 'reorder-clients'; readonly clientIds: readonly string[] }
  | { readonly kind: 'erase-seller' };

/** Why a command cannot be applied to this list, with the details a person needs to correct it. */
export type Rejection =
  | { readonly reason: 'too-many-clients'; readonly limit: number }
  | { readonly reason: 'duplicate-client'; readonly existingId: string }
  | { readonly reason: 'unknown-client'; readonly clientId: string }
  | { readonly reason: 'period-reversed'; readonly from: string; readonly to: string }
  | {
      readonly reason: 'order-mismatch';
      readonly missing: readonly string[];
      readonly unknown: readonly string[];
      readonly repeated: readonly string[];
    };

/** No events: the list is already as asked for, and nothing is committed. */
export type Decision = { readonly events: readonly SellerChange[] } | { readonly rejection: Rejection };

const accept = (...events: SellerChange[]): Decision => ({ events });
const reject = (rejection: Rejection): Decision => ({ rejection });

/** Decides a command against a list. Pure: no clock, no I/O, no random ids. */
export function decide(seller: Seller, command: SellerCommand): Decision {
  switch (command.kind) {
    case 'add-client':
      return add(seller, { id: command.clientId, ...command.client });
    case 'update-client':
      return update(seller, command.clientId, command.patch);
    case 'remove-client':
      return find(seller, command.clientId)
        ? accept({ type: 'client-removed', clientId: command.clientId })
        : reject({ reason: 'unknown-client', clientId: command.clientId });
    case 'reorder-clients':
      return reorder(seller, command.clientIds);
    case 'erase-seller':
      return seller.erased || seller.version === 0 ? accept() : accept({ type: 'seller-erased' });
  }
}

/** The list after a change. It accepts every change: a committed event is never judged again. */
export function evolve(seller: Seller, change: SellerChange): Seller {
  return { version: seller.version + 1, clients: changed(seller.clients, change), erased: erases(change) };
}

/**
 * One step of rebuilding a list from its log, oldest entry first. An erasure empties the entries before it; an empty
 * entry (null) only counts.
 */
export const replay = (seller: Seller, change: SellerChange | null): Seller =>
  change ? evolve(seller, change) : { ...NEW_SELLER, version: seller.version + 1 };

function add(seller: Seller, client: Client): Decision {
  if (seller.clients.length >= LIMITS.clientsPerSeller) {
    return reject({ reason: 'too-many-clients', limit: LIMITS.clientsPerSeller });
  }
  return flaw(seller, client) ?? accept({ type: 'client-added', client, position: seller.clients.length });
}

function update(seller: Seller, clientId: string, patch: ClientPatch): Decision {
  const before = find(seller, clientId);
  if (!before) return reject({ reason: 'unknown-client', clientId });
  const after: Client = {
    id: before.id,
    name: patch.name ?? before.name,
    // In a merge patch null clears a member; a cleared text becomes an empty one.
    industry: patch.industry === undefined ? before.industry : (patch.industry ?? ''),
    description: patch.description === undefined ? before.description : (patch.description ?? ''),
    logo: patch.logo === undefined ? before.logo : patch.logo,
    from: patch.from === undefined ? before.from : patch.from,
    to: patch.to === undefined ? before.to : patch.to,
  };
  if ((Object.keys(after) as (keyof Client)[]).every((key) => after[key] === before[key])) return accept();
  return flaw(seller, after) ?? accept({ type: 'client-updated', client: after });
}

function reorder(seller: Seller, clientIds: readonly string[]): Decision {
  const wanted = new Set(clientIds);
  const missing = seller.clients.map(({ id }) => id).filter((id) => !wanted.has(id));
  const unknown = [...wanted].filter((id) => !find(seller, id));
  const repeated = [...wanted].filter((id) => clientIds.indexOf(id) !== clientIds.lastIndexOf(id));
  if (missing.length + unknown.length + repeated.length > 0) {
    return reject({ reason: 'order-mismatch', missing, unknown, repeated });
  }
  return seller.clients.every(({ id }, position) => id === clientIds[position])
    ? accept()
    : accept({ type: 'clients-reordered', clientIds: [...clientIds] });
}

/** Why a client, new or changed, cannot be in the list; undefined when it can. */
function flaw(seller: Seller, client: Client): Decision | undefined {
  if (!isPeriodValid(client)) {
    return reject({ reason: 'period-reversed', from: client.from ?? '', to: client.to ?? '' });
  }
  const twin = seller.clients.find(({ id, name }) => id !== client.id && sameName(name, client.name));
  return twin && reject({ reason: 'duplicate-client', existingId: twin.id });
}

const find = (seller: Seller, clientId: string) => seller.clients.find(({ id }) => id === clientId);

const sameName = (one: string, other: string) => foldName(one) === foldName(other);

function changed(clients: readonly Client[], change: SellerChange): readonly Client[] {
  switch (change.type) {
    case 'client-added':
      return clients.toSpliced(change.position, 0, change.client);
    case 'client-updated':
      return clients.map((client) => (client.id === change.client.id ? change.client : client));
    case 'client-removed':
      return clients.filter(({ id }) => id !== change.clientId);
    case 'clients-reordered':
      return change.clientIds.flatMap((id) => clients.find((client) => client.id === id) ?? []);
    case 'seller-erased':
      return [];
  }
}

const erases = ({ type }: { type: ChangeType }) => type === 'seller-erased';
