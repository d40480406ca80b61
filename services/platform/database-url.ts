/** Thrown for what is no address of a database; the message says what to change, and nothing of what was given. */
export class WrongDatabaseUrl extends Error {
  override name = 'WrongDatabaseUrl';
}

/** Where Node looks for how a value is shown: `util.inspect.custom`. */
const INSPECTED = Symbol.for('nodejs.util.inspect.custom');

const EXAMPLE = 'postgresql://user:password@host:5432/database';
const ENCODE =
  'write these characters of a password as %40 for @, %2F for /, %23 for #, %3F for ? and %25 for %';

/** What may stand behind the `@`: a host, a port, the name of a database and parameters, none of them with an `@`. */
const PLACE =
  /^(?<host>\[[0-9a-f:.%]+\]|[\w.-]*)(?::(?<port>\d{1,5}))?(?:\/(?<database>[^/?#@]*))?(?:\?(?<parameters>[\w.]+=[^?#]*))?$/i;

/**
 * The address of a database, which may hold a password. As text, as JSON, in a log or in a debugger it is shown without
 * the password. Only `revealed` gives the password, to the driver.
 *
 * User and password may be percent-encoded, as in the standard, or raw: Kubernetes puts addresses together from parts
 * without encoding them. What can be read by the standard is read that way; otherwise the last `@` ends the password. A
 * `%` before two hexadecimal digits is taken for an encoded character.
 */
export class DatabaseUrl {
  readonly user: string | undefined;
  readonly host: string;
  readonly database: string;
  readonly #revealed: string;
  readonly #shown: string;

  private constructor(userInfo: string | undefined, place: RegExpExecArray) {
    const { host = '', port, database = '', parameters } = place.groups!;
    const [user, password] = split(userInfo);
    this.user = user;
    this.host = host;
    this.database = decoded(database);
    // Encoded for the driver: it decodes the name by `decodeURI`, and a blank or a lone % anywhere confuses it.
    const where = `${host}${port === undefined ? '' : `:${port}`}/${encodeURI(this.database)}`;
    const options = parameters?.replaceAll(' ', '%20').replace(/%(?![0-9a-f]{2})/gi, '%25');
    const who = (secret: string) =>
      user === undefined ? '' : `${encodeURIComponent(user)}${password === undefined ? '' : `:${secret}`}@`;
    this.#revealed = `postgresql://${who(encodeURIComponent(password ?? ''))}${where}${options === undefined ? '' : `?${options}`}`;
    // Without the parameters: a password may stand among them.
    this.#shown = `postgresql://${who('…')}${where}`;
  }

  /**
   * @param address as it was configured; an address that was read already is given back
   * @throws WrongDatabaseUrl
   */
  static of(address: string | DatabaseUrl): DatabaseUrl {
    if (address instanceof DatabaseUrl) return address;
    // Line breaks come with secrets that were made from files, and belong to no address.
    const text = address.replace(/[\t\r\n]/g, '').trim();
    const rest = /^postgres(?:ql)?:\/\/(.*)$/is.exec(text)?.[1];
    if (rest === undefined) throw new WrongDatabaseUrl(`must be an address like ${EXAMPLE}`);
    const [userInfo, place] = read(rest);
    if (Number(place.groups!['port'] ?? 1) > 65_535 || Number(place.groups!['port'] ?? 1) === 0)
      throw new WrongDatabaseUrl('must have a port from 1 to 65535');
    if (place.groups!['host'] === '' && !/(^|&)host=./.test(place.groups!['parameters'] ?? ''))
      throw new WrongDatabaseUrl(`must name a host, as ${EXAMPLE} does`);
    return new DatabaseUrl(userInfo, place);
  }

  /** With the password, for whoever connects. */
  get revealed(): string {
    return this.#revealed;
  }

  toString(): string {
    return this.#shown;
  }

  toJSON(): string {
    return this.#shown;
  }

  [INSPECTED](): string {
    return this.#shown;
  }
}

/** @returns what comes before the `@`, if there is one, and where the database is */
function read(rest: string): [userInfo: string | undefined, place: RegExpExecArray] {
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  // By the standard the first of / ? # ends the authority, and the last @ in it ends the user. A raw password may hold
  // all of these.
  for (const at of [authority.lastIndexOf('@'), rest.lastIndexOf('@')]) {
    // An authority without `@` has no user. If an `@` comes later, the password was cut by one of / ? #.
    const place = at < 0 && rest.includes('@') ? null : PLACE.exec(rest.slice(at + 1));
    if (place !== null) return [at < 0 ? undefined : rest.slice(0, at), place];
  }
  throw new WrongDatabaseUrl(`must be an address like ${EXAMPLE}; ${ENCODE}`);
}

function split(userInfo: string | undefined): [user: string | undefined, password: string | undefined] {
  if (userInfo === undefined || userInfo === '') return [undefined, undefined];
  const colon = userInfo.indexOf(':');
  return colon < 0
    ? [decoded(userInfo), undefined]
    : [decoded(userInfo.slice(0, colon)), decoded(userInfo.slice(colon + 1))];
}

/** A `%` that begins no encoded character stands for itself. */
const decoded = (text: string): string =>
  text.replace(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
